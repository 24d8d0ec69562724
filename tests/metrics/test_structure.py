import subprocess
import sys

import pytest

from fidelity.errors import MissingPackageError
from fidelity.metrics import base, default_metrics, metric_of_kind
from tests import laws

STRUCTURAL = ["markdown", "json", "code", "counts", "breaks"]


@pytest.fixture
def without_the_extra(monkeypatch):
    missing = ("apted", "markdown-it-py", "py3langid", "tree-sitter")
    monkeypatch.setattr(base, "_version", lambda package: None if package in missing else "1.0")


@pytest.mark.usefixtures("without_the_extra")
@pytest.mark.parametrize("kind", STRUCTURAL)
def test_a_missing_package_is_named_with_its_extra(kind):
    with pytest.raises(
        MissingPackageError, match=rf"the metric '{kind}' needs .* pip install 'llm-fidelity\[structure\]'"
    ):
        metric_of_kind(kind).score([laws.pair("a", "b")])


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_the_columns_names_are_known_and_most_breaks_are_scored():
    assert [column.values for column in metric_of_kind("markdown").score([])] == [()]
    (loop,) = (
        column
        for column in metric_of_kind("breaks").fallback().score([laws.pair("a", "so " * 60)])
        if column.name == "break_loop"
    )
    assert loop.values == (1.0,)


def test_nothing_of_the_extra_is_loaded_before_a_text_is_scored():
    code = (
        "import sys; from fidelity.metrics import default_metrics; "
        "[metric.score([]) for metric in default_metrics() if metric.extra == 'structure']; print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {m.partition(".")[0] for m in modules} & {"apted", "markdown_it", "py3langid", "tree_sitter"}


def test_all_are_scored_by_default():
    assert set(STRUCTURAL) <= {metric.kind for metric in default_metrics()}
