"""Names in the package are the field's own words, and the documentation is plain technical English."""

from pathlib import Path

import pytest

import fidelity
from tests.language import (
    RATES,
    banned_identifiers,
    banned_modules,
    banned_words,
    comments_and_docstrings,
    package_prose,
    rates,
)

PACKAGE = Path(fidelity.__file__).parent
ROOT = PACKAGE.parent
SCRIPTS = [file for name in ("tests", "benchmarks", "examples", "requirements") for file in (ROOT / name).rglob("*.py")]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "prompts").glob("*.md")]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_identifier_of_the_package_has_a_banned_word(file):
    assert [f"{i.name}, line {i.line}" for i in banned_identifiers(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("folder", ["benchmarks", "examples", "requirements"])
def test_no_identifier_of_a_script_has_one(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert [(file.name, i.name) for file in files for i in banned_identifiers(file.read_text(encoding="utf-8"))] == []


def test_no_module_of_the_package_has_one():
    assert banned_modules(PACKAGE) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    for said in (): pass",
        "told = 1",
        "x, (y, *ours) = z",
        "class PartCounts: ...",
        "class C:\n    n_kept: int",
        "self.parted_at = 1",
        "def f(*, theirs): ...",
        "def f(*FOUND): ...",
        "lambda habit: 1",
        "[1 for ear in x]",
        "if (became := f()): ...",
        "import obituaries as obituaries",
        "with f() as stands: ...",
        "try: ...\nexcept E as lies: ...",
        "match x:\n    case {'a': whence}: ...",
        "async def asForcedAnswer(): ...",
    ],
)
def test_wherever_a_name_is_bound(source):
    assert len(banned_identifiers(source)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "partition",
        "parts",
        "apart",
        "outside",
        "standard",
        "belief",
        "teacher_forcing",
        "TeacherForced",
        "heard",
        "year",
    ],
)
def test_only_whole_words_count(name):
    assert not banned_words(name)


def test_names_that_are_only_read_may_be_another_packages():
    assert banned_identifiers("x = response.found\nother.call(part=1)") == []


@pytest.mark.parametrize(
    ("files", "prose_of"),
    [
        pytest.param(DOCUMENTS, str, id="documentation"),
        pytest.param(SCRIPTS, comments_and_docstrings, id="scripts"),
        pytest.param(list(PACKAGE.rglob("*.py")), package_prose, id="package"),
    ],
)
def test_prose_has_no_more_of_the_words_that_make_it_hard_to_read_than_the_field_has(files, prose_of):
    texts = [prose_of(file.read_text(encoding="utf-8")) for file in files]
    assert {word: rate for word, rate in rates(texts).items() if rate > RATES[word]} == {}


def test_rates_count_prose_and_no_code():
    text = "It says so. Nobody *told* me.\n```\nwhat it said\n```\nThe message `it says so`; teacher forcing, forced."
    counted = {word: rate for word, rate in rates([text]).items() if rate}
    (term,) = [word for word in RATES if "forc" in word]
    assert counted == {word: pytest.approx(10_000 / 11) for word in ("said|says", "told", term)}


def test_the_prose_of_a_file_is_its_comments_and_docstrings():
    source = '"""It says."""\nx = "told"  # kept\nclass C:\n    y = 1\n    """Stands."""\n'
    assert comments_and_docstrings(source).split("\n") == ["kept", "It says.", "Stands."]


def test_the_prose_of_the_package_has_its_messages_too():
    source = '"""It says."""\nraise E(f"{path}: nobody told us")  # kept\nkey = "ours"\n'
    assert sorted(package_prose(source).split("\n")) == [": nobody told us", "It says.", "kept"]
