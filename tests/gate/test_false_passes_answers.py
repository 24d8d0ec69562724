"""Ways to a pass that isn't one: the candidate's answers."""

import random
import re
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
    SHUFFLED,
    THAI,
    N,
    Rows,
    each,
    fields,
    half_shuffled,
    moved,
    refused,
    row,
    shuffled,
    words,
)


def test_the_honest_study_passes(study):
    code, printed = study.compare("quant.yaml")
    assert code == 0, printed
    assert "quant: PASS. Every line passes" in printed


ANSWERS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "the first half is missing": (lambda rows: rows[:100], MISSING),
    "the second half is missing": (lambda rows: rows[100:], MISSING),
    "every other answer is missing": (lambda rows: rows[::2], MISSING),
    "one in twenty is missing": (lambda rows: [r for n, r in enumerate(rows) if n % 20], MISSING),
    "the answers that drifted are missing": (lambda rows: rows[:10] + rows[35:], MISSING),
    "all but one are missing": (lambda rows: rows[:1], MISSING),
    "all but two are missing": (lambda rows: rows[:2], MISSING),
    "all but three are missing": (lambda rows: rows[:3], MISSING),
    "all but five are missing": (lambda rows: rows[:5], MISSING),
    "none is there": (lambda rows: [], "contains no recorded outputs"),
    "half are missing and as many of other prompts are there": (
        lambda rows: rows[:100] + [{**r, "id": f"x{n}"} for n, r in enumerate(rows[100:])],
        MISSING,
    ),
    "all are of other prompts": (lambda rows: [{**r, "id": f"x{n}"} for n, r in enumerate(rows)], "share no answered"),
    "ids in capitals": (lambda rows: [{**r, "id": r["id"].upper()} for r in rows], "share no answered prompt"),
    "all failed": (lambda rows: [{"id": r["id"], "failure": "out of memory"} for r in rows], "out of memory"),
    "half failed": (
        lambda rows: [{"id": r["id"], "failure": "timeout"} if n % 2 else r for n, r in enumerate(rows)],
        MISSING,
    ),
    "one in twenty failed": (
        lambda rows: [r if n % 20 else {"id": r["id"], "failure": "timeout"} for n, r in enumerate(rows)],
        MISSING,
    ),
    "all are empty": (each(lambda text: ""), "newly broken empty"),
    "one in ten is empty": (each(lambda text: "", 10), "newly broken empty"),
    "all are white space": (each(lambda text: " \n\t"), "newly broken empty"),
    "all are invisible": (each(lambda text: "\u200b\u200b"), FAR),
    "all are one replacement character": (each(lambda text: "\ufffd"), FAR),
    "all are one sentence": (each(lambda text: "Take it with water."), FAR),
    "all are the first answer": (lambda rows: [row(n, rows[0]["text"]) for n in range(N)], FAR),
    "all are refusals": (each(lambda text: "I'm sorry, but I can't help with that."), FAR),
    "all are in Thai": (each(lambda text: THAI), FAR),
    "one in five is in Thai": (each(lambda text: THAI, 5), FAR),
    "one in five is an emoji": (each(lambda text: "👍", 5), FAR),
    "every second word is missing": (each(words(lambda w: w[::2])), FAR),
    "every fifth word is missing": (each(words(lambda w: [x for n, x in enumerate(w) if n % 5])), FAR),
    "words in reverse": (each(words(lambda w: w[::-1])), FAR),
    "words in another order": (each(words(lambda w: random.Random(2).sample(w, len(w)))), FAR),
    "words in the order of the alphabet": (each(words(sorted)), FAR),
    "letters in reverse": (each(lambda text: text[::-1]), FAR),
    "no spaces": (each(lambda text: text.replace(" ", "")), FAR),
    "cut in half": (each(words(lambda w: w[: len(w) // 2])), FAR),
    "the first words only": (each(words(lambda w: w[:3])), FAR),
    "each text twice": (each(lambda text: f"{text} {text}"), FAR),
    "with as many words more": (each(lambda text: text + " and so on" * 15), FAR),
    "one in five goes on and on": (each(lambda text: text + " and on" * 400, 5), "newly broken loop"),
    "one in five loops": (each(lambda text: "take the dose. " * 60, 5), "newly broken loop"),
    "to other prompts": (moved(shuffled), FAR),
    "to the next prompt": (moved(lambda n: n[1:] + n[:1]), FAR),
    "in reverse": (moved(lambda n: n[::-1]), FAR),
    "half to other prompts": (moved(half_shuffled), FAR),
    "one in five is cut off": (fields(5, finish_reason="length"), "newly broken length"),
    "all are cut off": (fields(finish_reason="length"), "newly broken length"),
    "one in five has no finish reason": (
        fields(5, finish_reason=None),
        "40 of 200 answers could not be scored and count as worst",
    ),
    "none has a finish reason": (fields(finish_reason=None), "Not judged: quant has no finish reasons"),
    "one in five has no token ids": (
        fields(5, token_ids=None),
        "40 of 200 answers could not be scored and count as worst",
    ),
    "one has token ids": (
        lambda rows: rows[:1] + fields(token_ids=None)(rows[1:]),
        "199 of 200 answers could not be scored and count as worst",
    ),
    "none has token ids": (fields(token_ids=None), "Not judged: quant has no token ids"),
    "one in five has an empty list of token ids": (fields(5, token_ids=[]), "prefix_agreement"),
    "all have the same token id": (fields(token_ids=[1]), "prefix_agreement"),
    "other texts with the baseline's token ids": (
        lambda rows: [{**r, "text": THAI, "token_ids": b["token_ids"]} for r, b in zip(rows, BASE, strict=True)],
        "equal the baseline's and the texts don't",
    ),
    "one in five thinks in a tag before it answers": (
        each(lambda text: f"<think>{'well ' * 200}</think>{text}", 5),
        "in 40 of 200 answers only one of quant and the baseline thinks",
    ),
    "all think apart from their answers": (
        fields(reasoning="well " * 200),
        "in 200 of 200 answers only one of quant and the baseline thinks",
    ),
    "a row without a text": (lambda rows: [*rows[:-1], {"id": "p199"}], "line 200.*needs 'text'"),
    "a text that is a number": (lambda rows: [*rows[:-1], {"id": "p199", "text": 7}], "line 200"),
    "an id that is a number": (lambda rows: [*rows[:-1], {**rows[-1], "id": 199}], r"answers to 1 prompt \(199\)"),
    "an answer twice": (lambda rows: [*rows, rows[0]], "the id 'p000'"),
    "token ids that are words": (fields(50, token_ids=["a"]), "'token_ids' must be a list of numbers"),
    "fewer logprobs than token ids": (fields(50, logprobs=[-0.1]), "1 logprobs"),
    "a repeat that is a text": (fields(50, repeat="0"), "'repeat' must be a number"),
    "answers of a second repeat only": (fields(repeat=1), "repeat"),
    "two repeats": (lambda rows: rows + fields(repeat=1)(rows), "number of repeats"),
    "other prompts under the same ids": (fields(prompt="What else?"), "p000|prompt"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_that_are_no_copys(study, case):
    change, why = ANSWERS[case]
    if case == "other prompts under the same ids":
        study.rows("base", fields(prompt="What is the dose?")(BASE))
    study.copy(change(COPY))
    refused(study.compare("quant.yaml"), why)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 30])
def test_so_few_prompts_pass_nothing(study, count):
    """Whatever the copy answers: even without any excess so few can't show that it is below the margin."""
    study.rows("base", BASE[:count])
    study.rows("again", CONTROL[:count])
    study.copy([row(0, BASE[0]["text"] + " So."), *BASE[1:count]])
    refused(study.compare("quant.yaml"), r"around the margin of 0\.05")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 30])
def test_so_small_a_limit_passes_nothing(study, count):
    study.copy([row(0, BASE[0]["text"] + " So."), *BASE[1:]])
    refused(study.compare("quant.yaml", options=("--limit", str(count))), r"around the margin of 0\.05")


@pytest.mark.parametrize(
    "case", ["to other prompts", "the first half is missing", "one in five is in Thai", "all failed"]
)
def test_until_decided_sees_the_same(study, case):
    change, why = ANSWERS[case]
    study.copy(change(COPY))
    refused(study.compare("quant.yaml", options=("--until-decided",)), why)


# --- prompts that the baseline lacks ---------------------------------------------------------------------------------

EXTRA = [row(N + n, "More.") for n in range(4)]


class TestExtraPrompts:
    """A candidate that answers more than the baseline was asked isn't of the same prompt set."""

    def test_they_are_named_and_keep_it_from_passing(self, study):
        study.copy([*COPY, *EXTRA])
        result = study.compare("quant.yaml")
        assert result[0] == 2
        refused(result, r"has answers to 4 prompts \(p200, p201, p202, \.\.\.\), which the baseline doesn't have")
        assert "+4 other prompts" in result[1]

    def test_a_drifted_copy_fails_all_the_same_only_inconclusively(self, study):
        study.copy([*moved(shuffled)(COPY), *EXTRA[:1]])
        refused(study.compare("quant.yaml"), r"1 prompt \(p200\)")

    def test_they_may_be_left_out_if_the_gate_says_so(self, study):
        study.copy([*COPY, *EXTRA])
        study.gate({**GATE, "allow_extra_prompts": True})
        code, printed = study.compare("quant.yaml")
        assert code == 0, printed
        assert "has answers to 4 prompts (p200, p201, p202, ...) that the baseline lacks" in printed

    def test_what_the_baseline_has_too_is_no_extra_prompt(self, study):
        """A limit, or a prompt set that leaves some out, is the user's own choice of prompts."""
        study.rows("base", [*BASE, *EXTRA])
        study.rows("again", [*CONTROL, *EXTRA])
        study.copy([*COPY, *EXTRA])
        assert study.compare("quant.yaml", options=("--limit", str(N)))[0] == 0

    def test_a_prompt_set_names_them_too(self, study):
        asked = [{"id": r["id"], "prompt": f"Question {n}?"} for n, r in enumerate([*BASE, *EXTRA])]
        study.rows("prompts", asked)
        study.base("base", prompts="prompts.jsonl")
        study.rows("base", BASE)
        study.copy([*COPY, *EXTRA])
        assert study.compare("quant.yaml", options=("--limit", str(N)))[0] == 0


def test_token_ids_of_other_texts(study):
    """If only token ids decide, they are compared with the texts."""
    study.gate({"margins": {"prefix_agreement": 0.1}})
    study.copy([{**other, "token_ids": own["token_ids"]} for other, own in zip(SHUFFLED, COPY, strict=True)])
    refused(study.compare("quant.yaml"), "in 175 of 200 answers they equal the baseline's and the texts don't")


PASSES = {
    "a candidate with the label BF16": ({"label": "BF16"}, GATE, r"The candidate is not quantized \(BF16\)"),
    "a candidate without a label": ({"label": None}, GATE, "It is unknown whether the candidate is quantized"),
    **{
        f"a gate without a margin on drift, {key}": ({}, {key: limits, **more}, "The gate has no margin on drift ")
        for key, limits, more in (
            ("breaks", {"empty": 0.05}, {}),
            ("margins", {"break_empty": 0.05}, {}),
            ("margins", {"break_empty": 0.05, "rougeL": 0.05}, {"primary": "break_empty"}),
        )
    },
}


@pytest.mark.parametrize("case", PASSES)
def test_a_pass_names_what_it_does_not_show(study, case):
    keys, gate, caveat = PASSES[case]
    study.copy(COPY, **keys)
    study.gate(gate)
    code, printed = study.compare("quant.yaml")
    assert code == 0, printed
    assert re.search(rf"PASS\. Every line passes, each at 95%\. {caveat}", printed)


def test_a_quantized_baseline_is_named(study):
    study.run("base", label="W8A8-FP8", control={"path": "again.jsonl"}, metrics=METRICS)
    code, printed = study.compare("quant.yaml")
    assert code == 0, printed
    assert "The baseline is quantized itself (W8A8-FP8)." in printed


def test_rows_of_several_models(study):
    study.copy([{**r, "model": "org/base" if n % 2 else "org/w4a16"} for n, r in enumerate(COPY)])
    refused(study.compare("quant.yaml"), "the rows of quant are answers of org/base, org/w4a16")


# --- numbers that can't be -------------------------------------------------------------------------------------------

IMPOSSIBLE = {
    "NaN": float("nan"),
    "infinite": float("-inf"),
    "positive": 0.5,
    "1.0": 1.0,
    "a probability": 0.97,
    "too large for a float": -(10**400),
}


@pytest.mark.parametrize("name", ["base", "again", "quant"])
@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_log_probabilities_that_are_none(study, case, name):
    rows = {"base": BASE, "again": CONTROL, "quant": COPY}[name]
    bad = {**rows[6], "logprobs": [IMPOSSIBLE[case]] * len(rows[6]["token_ids"])}
    study.rows(name, [*rows[:6], bad, *rows[7:]])
    refused(study.compare("quant.yaml"), rf"{name}\.jsonl, line 7, id 'p006': .* is not a log-probability")


@pytest.mark.parametrize("token", [-1, 2**31, 10**30])
def test_token_ids_that_are_none(study, token):
    study.copy([{**COPY[0], "token_ids": [token]}, *COPY[1:]])
    refused(study.compare("quant.yaml"), rf"quant\.jsonl, line 1, id 'p000': {str(token)[:20]} is not a token id")
