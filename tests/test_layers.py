"""The package keeps the rules of its layout, and each rule is one that a planted violation breaks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fidelity
from tests.layers import ORDER, violations

PACKAGE = Path(fidelity.__file__).parent
DECISION = PACKAGE.parent / "docs/decisions/001-layers.md"
LONGEST_FILE = 400
"""Lines of a file of the package or of its tests; beyond, it is split by subject."""
HEAVY = ("torch", "transformers", "vllm", "streamlit", "pandas", "pyarrow", "scipy")
SMALL = {
    "__init__.py": "",
    "errors.py": "class Trouble(Exception): ...\n",
    "records.py": "from fidelity.errors import Trouble\nBetter = str\n",
    "metrics/__init__.py": "from fidelity.metrics.rouge import Rouge\n",
    "metrics/rouge.py": "from fidelity.records import Better\nclass Rouge: ...\nclass _State: ...\n",
    "stats/__init__.py": "from typing import TypeVar\nT = TypeVar('T')\n",
    "dashboard/__init__.py": "",
    "dashboard/runs_page.py": "from fidelity.metrics import Rouge\nclass _State: ...\n",
    "dashboard/gate_page.py": "from typing import TypeVar\nT = TypeVar('T')\n",
}


def planted(tmp_path, **changes):
    """The rules that a small package breaks with these lines added to its files, of which the path's / is a __."""
    root = tmp_path / "fidelity"
    for path, source in SMALL.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    for path, source in changes.items():
        with (root / f"{path.replace('__', '/', 1)}.py").open("a") as file:
            file.write(source)
    return violations(root)


def test_the_package_keeps_every_rule():
    assert violations(PACKAGE) == []


def test_the_decision_lists_the_same_order():
    lists = re.findall(r"^\w+(?: · \w+)+$", DECISION.read_text(encoding="utf-8"), re.MULTILINE)
    assert [line.split(" · ") for line in lists] == [[name for name in ORDER if name != "__main__"]]


def test_a_package_that_keeps_the_rules_has_no_violations(tmp_path):
    assert planted(tmp_path) == []


@pytest.mark.parametrize(
    "source",
    [
        "from fidelity.metrics.rouge import Rouge",
        "from fidelity import metrics",
        "import fidelity.metrics as m",
        "from .metrics import rouge",
        "from . import metrics",
        "def late():\n    from fidelity.metrics import Rouge",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fidelity.metrics import Rouge",
        "from importlib import import_module\nrouge = import_module('fidelity.metrics')",
    ],
)
def test_an_import_against_the_order(tmp_path, source):
    (message,) = [m for m in planted(tmp_path, records=source) if "circle" not in m]
    assert re.fullmatch(
        r"fidelity\.records imports fidelity\.metrics(\.rouge)?, which comes after records in the order", message
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"metrics__rouge": "from fidelity import stats\n"},
            "fidelity.metrics.rouge imports fidelity.stats: metrics must not know stats",
        ),
        (
            {"metrics__rouge": "def late():\n    from . import Rouge\n"},
            "files import each other in a circle: fidelity.metrics <- fidelity.metrics.rouge <- fidelity.metrics",
        ),
        (
            {"dashboard__gate_page": "from fidelity.dashboard import runs_page\n"},
            "fidelity.dashboard.gate_page imports the page fidelity.dashboard.runs_page",
        ),
        ({"dashboard__gate_page": "class Rouge: ...\n"}, "Rouge is defined in fidelity.dashboard.gate_page and "),
        ({"dashboard__gate_page": "Better = str | None\n"}, "Better is defined in fidelity.dashboard.gate_page and "),
        (
            {"dashboard__gate_page": "def f():\n    class Trouble: ...\n"},
            "Trouble is defined in fidelity.dashboard.gate_page and fidelity.errors",
        ),
        ({"utils": "x = 1\n"}, "utils has no place in the order"),
        ({"stats__limits": "\n" * 401}, "fidelity.stats.limits has 401 lines, 400 may be in a file"),
        (
            {"stats__limits": "class C:\n def long(self):\n" + "  x = 1\n" * 60},
            "fidelity.stats.limits.long has 61 lines, a function may have 60",
        ),
        (
            dict.fromkeys(("schema", "floor", "prompts", "files", "pipeline", "inspection", "study"), ""),
            "9 modules lie at the top, 8 may: errors, files, floor, ",
        ),
    ],
)
def test_a_broken_rule_is_named(tmp_path, changes, message):
    (violation,) = planted(tmp_path, **changes)
    assert violation.startswith(message)


@pytest.mark.parametrize("code", ["import fidelity", "from fidelity.cli import main; main(['--help'])"])
def test_starting_loads_nothing_heavy(code):
    listing = f"try:\n {code}\nexcept SystemExit: pass\nimport sys; print(*sys.modules, sep=chr(10))"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert not {module.partition(".")[0] for module in modules} & set(HEAVY)


def test_no_file_is_longer_than_a_reader_takes_in():
    lengths = {
        str(file.relative_to(PACKAGE.parent)): len(file.read_text(encoding="utf-8").splitlines())
        for folder in (PACKAGE, PACKAGE.parent / "tests")
        for file in folder.rglob("*.py")
    }
    assert len(lengths) > 400
    assert {file: lines for file, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_decision_has_a_number_of_its_own():
    files = sorted(DECISION.parent.glob("*.md"))
    numbers = [file.name.partition("-")[0] for file in files]
    assert len(set(numbers)) == len(numbers)
    titles = [file.read_text(encoding="utf-8").splitlines()[0] for file in files]
    assert [title.removeprefix("# ")[:3] for title in titles] == numbers
