import time

import pytest

from fidelity.text.blocks import MAX_CHARACTERS
from fidelity.text.documents import MAX_DEPTH, Document, Members, Numeral, documents, parse_json, parse_yaml
from tests import laws

ONE = Members((("a", 1),))
TWO = Members((("b", 2),))
BILLION_LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGE_BOMB = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


def documents_in(text):
    return [(document.format, document.root) for document in documents(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', [("json", ONE)]),
        (' \n[1, "x"]\n', [("json", [1, "x"])]),
        ('```json\n{"a": 1}\n```', [("json", ONE)]),
        ('Here:\n\n```JSON\n{"a": 1}\n```\nand\n```\n{"b": 2}\n```', [("json", ONE), ("json", TWO)]),
        ('- item\n\n  ```json\n  {"a": 1}\n  ```', [("json", ONE)]),
        ('```json\n{"a": 1', [("json", None)]),
        ("```yaml\na: 1\n```", [("yaml", ONE)]),
        ("```yml\na: 1\n---\nb: 2\n```", [("yaml", ONE), ("yaml", TWO)]),
        ("```yaml\nonly words\n```", [("yaml", None)]),
        ("```yaml\na: [1\n```", [("yaml", None)]),
        ('Sure!\n{"a":\n 1}\nThat is all.', [("json", ONE)]),
        ('{"a": 1}\n{"b": 2}', [("json", ONE), ("json", TWO)]),
        ('Sure!\n[{"a": 1}] and', [("json", [ONE])]),
    ],
)
def test_json_and_yaml_are_recognized(text, expected):
    assert documents_in(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prose",
        "42",
        '"a string"',
        "null",
        "[1] Smith, J. 2020\n[2, 3] others",
        "the interval [0, 1)\n{x | x > 0}",
        'a sentence that mentions {"a": 1} as an example',
        '```python\nx = {"a": 1}\n```',
        "```\n[1, 2, 3]\n```",
        '[{"a": 1}, {"b": 2',  # cut off: what is whole inside is only a fragment
        '[\n{"a": 1},\n{"b": 2}\n',
        '{"a": 1}}',
        'He said: "\n',
    ],
)
def test_what_is_no_json(text):
    assert [document for document in documents_in(text) if document[1] is not None] in (
        [],
        [("json", ONE)] * ("}}" in text),
    )


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ('{"a": 1, "a": 2}', Members((("a", 1), ("a", 2)))),  # repeated keys both remain
        ("[NaN]", None),
        ("[-Infinity]", None),
        ("[1e400]", [Numeral("1e400")]),
        (f"[{'9' * 5_000}]", [Numeral("9" * 5_000)]),  # Python refuses to convert it
        (f"[{'9' * 400}]", [10**400 - 1]),
        ("[1, 1.0, true, null]", [1, 1.0, True, None]),
        ("[1,]", None),
        ("{'a': 1}", None),
        ('["\ud800"]', ["\ud800"]),
        ('["a\x00"]', None),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, "deep"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), None),
        ('["' + "[" * 1_000 + '"]', ["[" * 1_000]),  # brackets in a string nest nothing
        ("\ufeff[1]", None),
    ],
)
def test_hostile_json(text, root):
    if root == "deep":
        assert parse_json(text) is not None
    else:
        assert parse_json(text) == root


def test_true_is_not_1():
    assert [type(value) for value in parse_json("[1, 1.0, true]")] == [int, float, bool]


@pytest.mark.parametrize(
    ("text", "roots"),
    [
        ("a: 1", [ONE]),
        ("a: &x [1]\nb: *x", [Members((("a", [1]), ("b", [1])))]),
        (
            "- 1.5\n- .nan\n- yes\n- ~\n- 2024-99-99\n- 0x1F",
            [[1.5, Numeral(".nan"), True, None, "2024-99-99", Numeral("0x1F")]],
        ),
        ("? [a, b]\n: 1", [Members((("?", 1),))]),
        ("- !!python/object/apply:os.system [echo]", [[["echo"]]]),  # nothing is constructed
        ("a: *nowhere", [None]),
        ("a: &x [*x]", [None]),  # endless
        (BILLION_LAUGHS, [None]),
        (MERGE_BOMB, [None]),
        ("[" * 1_000 + "]" * 1_000, [None]),
        ("\x00", [None]),
        ("a: \ud800", [None]),
        ("", []),
    ],
)
def test_hostile_yaml(text, roots):
    assert parse_yaml(text) == roots


def test_hard_texts():
    for text in laws.HARD_TEXTS.values():
        assert all(isinstance(document, Document) for document in documents(text))
        for tag in ("json", "yaml", ""):
            assert all(isinstance(document, Document) for document in documents(f"```{tag}\n{text}\n```"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 400_000,
        '{"' * 200_000,
        '{"a":\n' * 60_000,
        "[[" * 100 + "\n[[" * 100_000,
        '["' + '\\"' * 200_000,
        '["' * 200_000,
        "{ " * 200_000,
        "[ \t" * 100_000,
        '{"a": 1}\n' * 50_000,
        "```yaml\n" + "[" * 90_000,
        "```yaml\n" + "[']'," * 19_000,
        "```yaml\n" + "- a\n" * 24_000,
        "```yaml\n" + "".join(f"- &a{n} x\n- *a{n}\n" for n in range(4_500)),
        "```yaml\n" + "? " * 45_000,
        "```yaml\n" + "a: 'b\n" * 15_000,
    ],
)
def test_hostile_texts_take_seconds(text):
    start = time.process_time()
    documents(text)
    assert time.process_time() - start < 20


def test_what_is_too_long_is_not_read():
    assert documents("x" * (MAX_CHARACTERS + 1)) is None
    assert documents("x" * MAX_CHARACTERS) == []


@pytest.mark.parametrize("tag", ["json5", "jsonc"])
def test_comments_and_commas_are_part_of_json5(tag):
    plain = documents('{"a": 1, "b": {"c": [1, 2]}}')
    relaxed = '{\n  // one\n  "a": 1, /* two */\n  b: {"c": [1, 2,]},\n}'
    assert [d.root for d in documents(f"```{tag}\n{relaxed}\n```")] == [d.root for d in plain]
    assert [d.root for d in documents(f"```json\n{relaxed}\n```")] == [None]
    [document] = documents(f'```{tag}\n{{"url": "https://a.example/b", "x": "/* y */"}} // z\n```')
    assert dict(document.root.pairs) == {"url": "https://a.example/b", "x": "/* y */"}


def test_json_after_a_colon_to_the_end_of_its_line_is_a_document():
    assert len(documents('Here it is: {"a": 1}')) == 1
    assert documents('Write: {"a": 1} in your file.') == []
    started = time.process_time()
    assert documents('x: {"a": ' * 50_000) == []
    assert time.process_time() - started < 3
