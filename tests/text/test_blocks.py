import pytest

from fidelity.text.blocks import fences, without_fences

TEXT = """\
Before.

```Python title="a.py"
x = 1
```
Between.
- in a list

  ~~~
  deep
  ~~~
After.
```c++
left open"""


def test_fences_know_their_language_content_and_lines():
    assert list(fences(TEXT)) == [
        ("python", "x = 1\n", (2, 5)),
        ("", "deep\n", (8, 11)),
        ("c++", "left open", (12, 14)),
    ]


def test_what_is_left_without_them_is_whole_lines():
    assert without_fences(TEXT, fences(TEXT)) == ["Before.\n", "Between.\n- in a list\n", "After.", ""]
    assert without_fences("no fence", []) == ["no fence"]


@pytest.mark.parametrize(
    ("info", "language"), [("", ""), ("JSON", "json"), ("{.python}", "python"), ("rust,no_run", "rust"), ("c#", "c#")]
)
def test_the_language_is_the_first_word_of_the_info_string(info, language):
    assert fences(f"```{info}\n```")[0].language == language


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_of_other_systems(ends):
    assert without_fences(TEXT.replace("\n", ends), fences(TEXT.replace("\n", ends))) == without_fences(
        TEXT, fences(TEXT)
    )
