"""Names in the package say what a value is, in the field's own words."""

from pathlib import Path

import pytest

import fidelity
from tests.language import banned_identifiers, banned_modules, banned_words

PACKAGE = Path(fidelity.__file__).parent


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_identifier_of_the_package_has_a_banned_word(file):
    assert [f"{i.name}, line {i.line}" for i in banned_identifiers(file.read_text(encoding="utf-8"))] == []


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
