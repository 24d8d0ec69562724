"""The rules of the package's layout, read from its source: imports, loose modules, names of types, lengths."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ORDER = (
    "errors",
    "outside",
    "schema",
    "records",
    "children",
    "stats",
    "files",
    "spool",
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
    "api",
    "cli",
    "__main__",
)
"""Bottom to top: what is at the top of the package may import itself and what comes before it."""
APART = frozenset(
    {
        ("metrics", "stats"),
        ("metrics", "floor"),
        ("dashboard", "pipeline"),
        ("dashboard", "study"),
        ("dashboard", "cli"),
        ("cli", "api"),
        ("engines", "encoders"),
        ("runs", "gate"),
        ("runs", "comparison"),
    }
)
"""Imports that the order would allow, importer first."""
MAX_LOOSE_MODULES = 8
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400
TYPE_NAME = re.compile(r"[A-Z][A-Z0-9]*[a-z]\w*")
TYPE_VARIABLES = {"TypeVar", "ParamSpec", "TypeVarTuple"}


def violations(package: Path) -> list[str]:
    """One message for each rule that a package's source breaks, in the order of the files.

    Imports inside functions, under `TYPE_CHECKING` and by `import_module` of a constant count like all others; but for
    those of the package's own `__init__`, which only forwards names of `api` when they are first used.
    """
    trees = {
        _module(file, package): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(package.rglob("*.py"))
    }
    imports = {module: sorted(set(_imports(module, trees))) for module in trees}
    imports[package.name] = []
    return [
        *_loose_modules(package),
        *_wrong_directions(imports),
        *_page_imports(imports),
        *_cycles(imports),
        *_types_defined_twice(trees),
        *_too_long(package),
    ]


def _module(file: Path, package: Path) -> str:
    """A file's module, `fidelity.x.y`; a package's is that of its `__init__`."""
    names = [package.name, *file.relative_to(package).with_suffix("").parts]
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def _imports(module: str, trees: dict[str, ast.Module]) -> Iterator[str]:
    """The package's modules that one of them imports."""
    root = module.partition(".")[0]
    for node in ast.walk(trees[module]):
        for name in _imported_names(node, module, trees):
            if name.partition(".")[0] == root:
                yield _longest_module(name, trees)


def _imported_names(node: ast.AST, module: str, trees: dict[str, ast.Module]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        if node.level:
            is_package = any(other.startswith(f"{module}.") for other in trees)
            climbed = module.split(".")[: len(module.split(".")) - node.level + is_package]
            origin = ".".join([*climbed, *([node.module] if node.module else [])])
        yield from (f"{origin}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        yield from (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def _longest_module(name: str, trees: dict[str, ast.Module]) -> str:
    """`fidelity.x.y` of `fidelity.x.y.Name`: the part of a dotted name that is a module."""
    while name not in trees and "." in name:
        name = name.rpartition(".")[0]
    return name


def _top(module: str) -> str:
    """The package or module at the top that a module belongs to; "" is the package itself."""
    return module.split(".")[1] if "." in module else ""


def _loose_modules(package: Path) -> Iterator[str]:
    loose = sorted(file.stem for file in package.glob("*.py") if not file.stem.startswith("__"))
    if len(loose) > MAX_LOOSE_MODULES:
        yield f"{len(loose)} modules lie at the top, {MAX_LOOSE_MODULES} may: {', '.join(loose)}"


def _wrong_directions(imports: dict[str, list[str]]) -> Iterator[str]:
    places = {name: number for number, name in enumerate(ORDER)}
    yield from (f"{name} has no place in the order" for name in sorted({_top(m) for m in imports} - {"", *ORDER}))
    for module, imported in imports.items():
        importer = _top(module)
        for target in imported:
            if importer not in places or _top(target) not in places:
                continue
            if places[_top(target)] > places[importer]:
                yield f"{module} imports {target}, which comes after {importer} in the order"
            if (importer, _top(target)) in APART:
                yield f"{module} imports {target}: {importer} must not know {_top(target)}"


def _page_imports(imports: dict[str, list[str]]) -> Iterator[str]:
    for module, imported in imports.items():
        if module.endswith("_page"):
            yield from (f"{module} imports the page {page}" for page in imported if page.endswith("_page"))


def _cycles(imports: dict[str, list[str]]) -> Iterator[str]:
    """One cycle of files, if there is any."""
    try:
        TopologicalSorter({m: [other for other in imported if other != m] for m, imported in imports.items()}).prepare()
    except CycleError as error:
        yield f"files import each other in a circle: {' <- '.join(error.args[1])}"


def _types_defined_twice(trees: dict[str, ast.Module]) -> Iterator[str]:
    homes = defaultdict(list)
    for module, tree in trees.items():
        for name in _type_names(tree):
            homes[name].append(module)
    for name, modules in sorted(homes.items()):
        if len(modules) > 1:
            yield f"{name} is defined in {' and '.join(modules)}"


def _too_long(package: Path) -> Iterator[str]:
    for file in sorted(package.rglob("*.py")):
        if (lines := count_lines(file)) > MAX_FILE_LINES:
            yield f"{_module(file, package)} has {lines} lines, {MAX_FILE_LINES} may be in a file"
        for name, lines in function_lines(file):
            if lines > MAX_FUNCTION_LINES:
                yield f"{_module(file, package)}.{name} has {lines} lines, a function may have {MAX_FUNCTION_LINES}"


def count_lines(file: Path) -> int:
    """The lines of a file, with those of comments and docstrings."""
    return len(file.read_text(encoding="utf-8").splitlines())


def function_lines(file: Path) -> Iterator[tuple[str, int]]:
    """The functions and methods of a file with their lines, docstring included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _type_names(tree: ast.Module) -> Iterator[str]:
    """Public classes and type aliases; a type variable is its own file's matter."""
    yield from (
        node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).rpartition(".")[2] in TYPE_VARIABLES:
            continue
        yield from (target.id for target in targets if isinstance(target, ast.Name) and TYPE_NAME.fullmatch(target.id))
