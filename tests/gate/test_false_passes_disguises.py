"""Ways to a pass that isn't one: what looks like the honest study, and differs in one place."""

import os
from collections.abc import Callable

import pytest

from tests.gate.study import (
    BASE,
    CONTROL,
    COPY,
    FAR,
    GATE,
    METRICS,
    MISSING,
    RAN,
    SHUFFLED,
    N,
    Rows,
    Study,
    answers,
    each,
    fields,
    half_shuffled,
    moved,
    refused,
    row,
    words,
)

Attack = Callable[[Study], str]
"""Changes the study, and returns the candidate's YAML."""


def texts(rows: Rows) -> Callable[[Study], str]:
    return lambda study: study.copy(rows)


def swapped(every: int) -> Callable[[list[int]], list[int]]:
    """Neighbors change places, at every so many prompts."""

    def order(numbers: list[int]) -> list[int]:
        for n in range(0, len(numbers) - 1, every):
            numbers[n], numbers[n + 1] = numbers[n + 1], numbers[n]
        return numbers

    return order


def with_ids(change: Callable[[str], str], every: int = 1) -> Rows:
    return [{**r, "id": change(r["id"])} if n % every == 0 else r for n, r in enumerate(COPY)]


def hard_link(study: Study) -> str:
    os.link(study.folder / "base.jsonl", study.folder / "linked.jsonl")
    return study.run("quant", path="linked.jsonl", label="W4A16-INT4 g128")


def symbolic_link(study: Study) -> str:
    (study.folder / "alias.jsonl").symlink_to(study.folder / "base.jsonl")
    return study.run("quant", path="alias.jsonl", label="W4A16-INT4 g128")


def controls(*files: str, changed: dict[str, Rows] | None = None, candidate: Rows = COPY) -> Attack:
    """A baseline with several recorded controls."""

    def attack(study: Study) -> str:
        for name, rows in (changed or {}).items():
            study.rows(name, rows)
        study.run("base", label="BF16", control={"path": list(files)}, metrics=METRICS)
        return study.copy(candidate)

    return attack


def gate(text: str, rows: Rows = SHUFFLED) -> Attack:
    def attack(study: Study) -> str:
        study.gate(text)
        return study.copy(rows)

    return attack


def case_of_ids(study: Study) -> str:
    """`q1` and `Q1` are two prompts; the candidate has one answer under each case."""
    upper = [{**r, "id": r["id"].upper()} for r in BASE]
    study.rows("base", [*BASE, *upper])
    study.rows("again", [*CONTROL, *upper])
    return study.copy([*COPY[:150], *[{**r, "id": r["id"].upper()} for r in COPY[:150]]])


def worst_floor(rows: Rows, control: Rows) -> Attack:
    """A gate that accepts any floor, and a control that is none."""

    def attack(study: Study) -> str:
        study.rows("again", control)
        study.gate({**GATE, "worst_floor": 0.0})
        return study.copy(rows)

    return attack


SAME = "every text equals the baseline's"
ATTACKS: dict[str, tuple[Attack, str]] = {
    # ids
    "ids of half in capitals": (texts(with_ids(str.upper, 2)), MISSING),
    "ids with a space behind": (texts(with_ids(lambda i: f"{i} ")), "share no answered prompt"),
    "ids with an invisible character": (texts(with_ids(lambda i: f"{i}\u200b", 3)), MISSING),
    "ids in full-width letters": (texts(with_ids(lambda i: i.replace("p", "\uff50"), 4)), MISSING),
    "ids that differ in case alone": (case_of_ids, MISSING),
    "an id as a number and as a text": (
        lambda study: study.copy([*COPY, {"id": 7, "text": "x"}, {"id": "7", "text": "y"}]),
        "the id '7'|line 20",
    ),
    # answers of other prompts
    "every fifth pair of neighbors swapped": (texts(moved(swapped(5))(COPY)), FAR),
    "every tenth pair of neighbors swapped": (texts(moved(swapped(8))(COPY)), FAR),
    "the last word is the next answer's": (
        texts([row(n, r["text"] + " " + BASE[(n + 1) % N]["text"]) for n, r in enumerate(COPY)]),
        FAR,
    ),
    # repetition
    "each word three times": (texts(each(words(lambda w: [x for x in w for _ in range(3)]))(COPY)), FAR),
    "the last ten words four times": (texts(each(words(lambda w: w + w[-10:] * 3))(COPY)), FAR),
    "each bigram twice": (
        texts(each(words(lambda w: [x for n in range(0, len(w), 2) for x in w[n : n + 2] * 2]))(COPY)),
        FAR,
    ),
    "one in twelve repeats its end 99 times": (
        texts(each(words(lambda w: w + w[-6:] * 99), 12)(COPY)),
        "newly broken loop|loop",
    ),
    # shorter
    "as if max_tokens were 20": (
        texts([{**row(n, " ".join(r["text"].split()[:20])), "finish_reason": "length"} for n, r in enumerate(COPY)]),
        "newly broken length",
    ),
    "as if max_tokens were 30, and ended by itself": (texts(each(words(lambda w: w[:30]))(COPY)), FAR),
    "as if a comma were a stop string": (texts(each(lambda text: text.split(",")[0])(COPY)), FAR),
    "max_tokens in the candidate's YAML": (
        lambda study: study.copy(COPY, sampling={"max_tokens": 20}),
        "sampling",
    ),
    "a stop string in the candidate's YAML": (lambda study: study.copy(COPY, sampling={"stop": ["."]}), "sampling"),
    # disguises of the baseline
    "a hard link to the baseline's file": (hard_link, SAME),
    "a symbolic link to the baseline's file": (symbolic_link, "is read from the baseline's own file"),
    "the baseline in another order": (texts(BASE[::-1]), SAME),
    "the baseline with a key that nobody reads": (texts(fields(note="quantized")(BASE)), SAME),
    "the baseline in capitals, with its token ids": (
        texts([{**r, "text": r["text"].upper()} for r in BASE]),
        "equal the baseline's and the texts don't",
    ),
    "the copy in capitals, with the baseline's token ids": (
        texts([{**r, "text": r["text"].upper(), "token_ids": b["token_ids"]} for r, b in zip(COPY, BASE, strict=True)]),
        "equal the baseline's and the texts don't",
    ),
    "the baseline with Windows' line ends": (texts(each(lambda text: text.replace(". ", ".\r\n"))(BASE)), SAME),
    "the baseline under compares: [engine, quantization]": (
        lambda study: study.copy(BASE, compares=["engine", "quantization"]),
        SAME,
    ),
    "the baseline that claims 120 quantized layers": (
        lambda study: study.copy(BASE, ran={**RAN, "quantized_layers": 120}),
        SAME,
    ),
    # controls
    "a control recorded twice": (controls("again.jsonl", "again.jsonl"), "is a copy of the control again"),
    "a control and a copy of its file": (
        controls("again.jsonl", "copy.jsonl", changed={"copy": CONTROL}),
        "is a copy of the control again",
    ),
    "a control and the candidate": (
        controls("again.jsonl", "copy.jsonl", changed={"copy": COPY}),
        "is the candidate itself",
    ),
    "a control with fewer prompts": (controls("again.jsonl", changed={"again": CONTROL[:150]}), MISSING + "|Too many"),
    "three controls, one with half of the prompts": (
        controls(
            "again.jsonl",
            "b.jsonl",
            "c.jsonl",
            changed={"b": answers(range(40, 60)), "c": answers(range(60, 80))[:100]},
        ),
        "Too many failures",
    ),
    "any floor, and control and copy to other prompts": (
        worst_floor(SHUFFLED, moved(half_shuffled)(CONTROL)),
        "closer|accept|FAIL|around",
    ),
    "any floor, and both half to other prompts": (
        worst_floor(moved(half_shuffled)(COPY), moved(half_shuffled)(CONTROL)),
        "closer|accept|FAIL|around",
    ),
    # gate files
    "an anchor with lax margins": (gate("lax: &lax {rougeL: 0.9}\nmargins: *lax"), r"gate\.yaml: .*lax"),
    "a merge of a laxer margin": (
        gate("margins:\n  <<: {rougeL: 0.9}\n  rougeL: 0.05"),
        "rougeL",
    ),
    "a merge of a whole gate": (
        gate("<<: {margins: {rougeL: 0.9}}\nmargins: {rougeL: 0.05}"),
        "margins",
    ),
    "a merge that brings the limits": (gate("<<: {margins: {rougeL: 0.95}}"), "accept"),
    "a number in base 60": (gate("margins: {rougeL: 0:59.9}"), r"gate\.yaml: |rougeL"),
    "a number with an underscore": (gate("margins: {rougeL: 0.9_9}"), "would accept answers to different prompts"),
    "a number as a text": (gate("margins: {rougeL: !!str 0.9}"), r"gate\.yaml: "),
    "a tag of Python": (gate("margins: {rougeL: !!python/float '0.9'}"), r"gate\.yaml: "),
    "two documents": (gate("margins: {rougeL: 0.05}\n---\nmargins: {rougeL: 0.9}"), r"gate\.yaml: "),
    "another spelling of a column": (gate("margins: {rougel: 0.9}"), "no such column"),
    "a key in another case": (gate("margins: {rougeL: 0.05}\nMax_failed: 0.9"), r"gate\.yaml: "),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_disguises(study, case):
    attack, why = ATTACKS[case]
    refused(study.compare(attack(study)), why)
