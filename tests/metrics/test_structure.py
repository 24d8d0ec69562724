import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from fidelity.errors import MissingPackageError
from fidelity.metrics import Metric, default_metrics, metric_of_kind, structure
from tests import laws

STRUCTURAL = ["markdown", "json", "code", "counts", "breaks"]


@pytest.fixture
def without_the_extra(monkeypatch):
    def version(package):
        if package in ("apted", "markdown-it-py", "py3langid", "tree-sitter"):
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(structure, "version", version)


@pytest.mark.usefixtures("without_the_extra")
@pytest.mark.parametrize("kind", STRUCTURAL)
@pytest.mark.parametrize("use", [Metric.signature, lambda metric: metric.score([laws.pair("a", "b")])])
def test_a_missing_package_is_named_with_its_extra(kind, use):
    with pytest.raises(
        MissingPackageError, match=rf"the metric '{kind}' needs .* pip install 'llm-fidelity\[structure\]'"
    ):
        use(metric_of_kind(kind))


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_the_columns_names_are_known_and_the_rest_is_scored():
    assert [column.values for column in metric_of_kind("markdown").score([])] == [()]
    kinds = {metric.kind: metric for metric in default_metrics()}
    assert not kinds.keys() & {"markdown", "json", "code", "counts"}
    (loop,) = (c for c in kinds["breaks"].score([laws.pair("a", "so " * 60)]) if c.name == "break_loop")
    assert loop.values == (1.0,)


def test_with_the_extra_all_are_scored_by_default():
    pytest.importorskip("tree_sitter")
    assert set(STRUCTURAL) <= {metric.kind for metric in default_metrics()}


def test_nothing_of_the_extra_is_loaded_before_a_text_is_scored():
    code = "import sys; from fidelity.metrics import default_metrics; [m.score([]) for m in default_metrics()[5:-1]]; "
    modules = subprocess.run(
        [sys.executable, "-c", code + "print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {m.partition(".")[0] for m in modules} & {"apted", "markdown_it", "py3langid", "tree_sitter"}
