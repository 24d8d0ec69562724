"""The order of imports: each module may import itself and what stands above it (docs/decisions/001-layers.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fidelity

PACKAGE = Path(fidelity.__file__).parent
ORDER = [
    "errors",
    "schema",
    "records",
    "children",
    "stats",
    "files",
    "floor",
    "prompts",
    "checkpoints",
    "text",
    "encoders",
    "metrics",
    "config",
    "store",
    "engines",
    "tokens",
    "gate",
    "comparison",
    "baselines",
    "runs",
    "inspection",
    "price",
    "pipeline",
    "study",
    "report",
    "dashboard",
    "cli",
    "__main__",
]
INDEPENDENT = {
    ("metrics", "stats"),
    ("metrics", "floor"),
    ("dashboard", "pipeline"),
    ("dashboard", "study"),
    ("dashboard", "cli"),
    ("engines", "encoders"),
}
HEAVY = ("torch", "transformers", "vllm", "streamlit", "pandas", "pyarrow", "scipy")


def imports(file):
    """Every `fidelity` module that a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fidelity."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fidelity."))


def place(module):
    return ORDER.index(module)


@pytest.mark.parametrize(
    "file", [f for f in PACKAGE.rglob("*.py") if f.parent != PACKAGE or f.stem != "__init__"], ids=str
)
def test_imports_go_one_way(file):
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for imported in imports(file):
        assert place(imported) <= place(own), f"{file.name} imports {imported}, which stands below {own}"
        assert (own, imported) not in INDEPENDENT, f"{own} must not know {imported}"


@pytest.mark.parametrize("code", ["import fidelity", "from fidelity.cli import main; main(['--help'])"])
def test_starting_loads_nothing_heavy(code):
    listing = f"try:\n {code}\nexcept SystemExit: pass\nimport sys; print(*sys.modules, sep=chr(10))"
    modules = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert not {module.partition(".")[0] for module in modules} & set(HEAVY)
