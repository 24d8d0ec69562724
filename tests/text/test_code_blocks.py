"""Code without a label."""

import time

import pytest

from fidelity.text.code_blocks import code_blocks, guess_language
from tests import laws

pytest.importorskip("tree_sitter")

CODE = {
    "python": "import os\n\nfor name in os.listdir('.'):\n    print(name)",
    "javascript": "const total = items.map((x) => x.price);\nconsole.log(total);",
    "typescript": "interface Item {\n  name: string;\n}\nconst x: number = 1;",
    "java": "public class A {\n  public static void main(String[] args) {\n    System.out.println(1);\n  }\n}",
    "c": '#include <stdio.h>\nint main(void) {\n  printf("hi");\n  return 0;\n}',
    "c++": "#include <iostream>\nint main() {\n  std::cout << 1;\n}",
    "go": "package main\n\nfunc main() {\n\tx := 1\n\tfmt.Println(x)\n}",
    "rust": 'fn main() {\n    let mut x = 1;\n    println!("{}", x);\n}',
    "bash": "sudo apt-get update\npip install requests\ncd project",
    "sql": "SELECT name\nFROM users\nWHERE age > 30;",
    "html": "<!DOCTYPE html>\n<html>\n<body><p>Hi</p></body>\n</html>",
}
NO_CODE = [
    "",
    "This is a sentence.\nAnd this is another one, with a stop.",
    '{"a": 1}',
    "Name: Ada\nAge: 36",
    "+---+---+\n| a | b |\n+---+---+",
    "Dear Sam,\nthank you for your letter.\nYours, Kim",
    "import nothing but hope, she wrote, and closed the book.",
]


@pytest.mark.parametrize(("language", "code"), CODE.items())
def test_the_language_is_what_it_looks_like(language, code):
    assert guess_language(code) == language


@pytest.mark.parametrize("text", NO_CODE)
def test_what_is_no_code(text):
    assert guess_language(text) is None
    assert code_blocks(text, f"```\n{text}\n```") == ([], [])


@pytest.mark.parametrize(("language", "code"), CODE.items())
def test_bare_code_in_prose(language, code):
    text = f"This is how it is done in short.\n\n{code}\n\nThat is all there is to say about it."
    assert [block.language for block in code_blocks(text, "")[0]] == [language]


def test_formulas_are_no_bare_code():
    assert code_blocks("We compute:\n\ny = 6/8\ny = 3/4\n", "") == ([], [])


def test_a_block_without_a_label_is_in_its_counterparts_language():
    labeled, bare = code_blocks("```rust\nfoo(bar)\n```", "```\nprint(1)\n```\n```\nfoo(baz)\n```")
    assert [block.language for block in labeled] == ["rust"]
    assert [block.language for block in bare] == ["python", "rust"]


def test_hostile_texts_take_seconds():
    start = time.process_time()
    for text in (*laws.HARD_TEXTS.values(), "word " * 5_000 + "{", "a = " * 8_000, "(" * 30_000, "x\n\n" * 5_000):
        code_blocks(text, f"```\n{text}\n```")
        guess_language(text)
    assert time.process_time() - start < 20
