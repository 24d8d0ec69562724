"""Ways to a pass that isn't one: a candidate or a control that is something else than it claims."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.gate.study import (
    BASE,
    CONTROL,
    COPY,
    GATE,
    RAN,
    THAI,
    N,
    Rows,
    answers,
    each,
    fields,
    half_shuffled,
    moved,
    refused,
    row,
    shuffled,
    words,
)

CLAIMS: dict[str, tuple[Rows, dict[str, Any], str]] = {
    "the baseline": (BASE, {}, "every text equals the baseline's"),
    "the baseline, labeled FP8": (BASE, {"label": "W8A8-FP8"}, "every text equals the baseline's"),
    "the baseline without a label": (BASE, {"label": None}, "every text equals the baseline's"),
    "the baseline's own file": (BASE, {"path": "base.jsonl"}, "is read from the baseline's own file"),
    "the baseline with logprobs": (
        [{**r, "logprobs": [-0.5] * len(r["token_ids"])} for r in BASE],
        {},
        "every text equals the baseline's",
    ),
    **{
        f"the baseline {what}": (each(change, every)(BASE), {}, "every text equals the baseline's")
        for what, change, every in (
            ("with a line's end after one answer", lambda text: f"{text}\n", N),
            ("with a space after each answer", lambda text: f"{text} ", 1),
            ("with two spaces for one", lambda text: text.replace(" ", "  "), 3),
            ("with a character that nobody sees", lambda text: f"{text}\u200b", 7),
            ("with other apostrophes and spaces", lambda text: text.replace(" ", "\u00a0"), 1),
        )
    },
    "the baseline's own file, as another engine": (
        BASE,
        {"path": "base.jsonl", "label": "BF16", "compares": "engine"},
        "is read from the baseline's own file",
    ),
    **{
        f"the baseline, labeled INT4, compared for its {kind}": (
            BASE,
            {"compares": kind},
            "every text equals the baseline's",
        )
        for kind in ("engine", "kernels", "hardware", "provider", "speculative", "template")
    },
    "the control": (CONTROL, {}, "is the candidate itself"),
    "the control with a space after each answer": (
        each(lambda text: f"{text} ")(CONTROL),
        {},
        "closer to the candidate than to its own model, in 20 answers against 0",
    ),
    "the control's own file": (CONTROL, {"path": "again.jsonl"}, "is the candidate itself"),
    "a label of another format than ran": (
        COPY,
        {"ran": {**RAN, "ran_as": "W8A8-FP8"}},
        "is labeled 'W4A16-INT4 g128'",
    ),
    "INT4 that ran as BF16": (COPY, {"ran": {**RAN, "ran_as": "BF16"}}, "is labeled 'W4A16-INT4 g128'"),
    "INT4 without a quantized layer": (COPY, {"ran": {**RAN, "quantized_layers": 0}}, "quantized layer"),
    "another sampling": (COPY, {"sampling": {"temperature": 0.5}}, "sampling"),
    "another prompt set": (COPY, {"prompts": "base.jsonl"}, "prompts"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_candidates_that_are_no_copy(study, case):
    rows, keys, why = CLAIMS[case]
    study.copy(rows, **keys)
    refused(study.compare("quant.yaml"), why)


# --- controls that are none ------------------------------------------------------------------------------------------

FLOOR = (
    r"floor of -?[\d.]+ is in the lower half|[Nn]o control|closer to the baseline than the control|Too many failures|"
    r"only \d+ of 200"
)
CONTROLS: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "the candidate's answers": (lambda rows: COPY, "is the candidate itself"),
    "the candidate's answers, written anew": (
        lambda rows: [dict(reversed(r.items())) for r in COPY],
        "closer to the candidate than to its own model, in 25 answers against 0",
    ),
    "the candidate's answers but for some": (
        lambda rows: [*COPY[:33], *CONTROL[33:]],
        "closer to the candidate than to its own model, in 23 answers",
    ),
    "the candidate's answers with another last word": (
        lambda rows: each(lambda text: f"{text} So.")(COPY),
        "closer to the candidate than to its own model, in 25 answers against 0",
    ),
    "the candidate's answers with more spaces": (
        lambda rows: each(lambda text: text.replace(" ", "  "))(COPY),
        "closer to the candidate than to its own model, in 25 answers",
    ),
    "to other prompts": (moved(shuffled), FLOOR),
    "to the next prompt": (moved(lambda n: n[1:] + n[:1]), FLOOR),
    "in reverse": (moved(lambda n: n[::-1]), FLOOR),
    "half to other prompts": (moved(half_shuffled), FLOOR),
    "empty": (each(lambda text: ""), FLOOR),
    "white space": (each(lambda text: " "), FLOOR),
    "one sentence": (each(lambda text: "Take it with water."), FLOOR),
    "the first answer": (lambda rows: [row(n, rows[0]["text"]) for n in range(N)], FLOOR),
    "every second word": (each(words(lambda w: w[::2])), FLOOR),
    "words in reverse": (each(words(lambda w: w[::-1])), FLOOR),
    "words in another order": (each(words(lambda w: random.Random(2).sample(w, len(w)))), FLOOR),
    "letters in reverse": (each(lambda text: text[::-1]), FLOOR),
    "in Thai": (each(lambda text: THAI), FLOOR),
    "cut in half": (each(words(lambda w: w[: len(w) // 2])), FLOOR),
    "half failed": (
        lambda rows: [{"id": r["id"], "failure": "timeout"} if n % 2 else r for n, r in enumerate(rows)],
        FLOOR,
    ),
    "half missing": (lambda rows: rows[::2], FLOOR),
    "all failed": (lambda rows: [{"id": r["id"], "failure": "timeout"} for r in rows], "timeout"),
    "of other prompts": (lambda rows: [{**r, "id": f"x{n}"} for n, r in enumerate(rows)], "no output for it"),
    "no token ids": (fields(token_ids=None), "has no token ids"),
    "one in five without token ids": (fields(5, token_ids=None), "only 160 of 200 prompts could be scored"),
    "no finish reason": (fields(finish_reason=None), "has no finish reasons"),
    "none at all": (lambda rows: [], "contains no recorded outputs"),
}


@pytest.mark.parametrize("case", CONTROLS)
def test_controls_that_are_none(study, case):
    change, why = CONTROLS[case]
    study.rows("other", change(CONTROL))
    study.base("base", control="other.jsonl")
    # A bad control hides drift: this copy's last words differ everywhere.
    study.copy(COPY if case.startswith(("the candidate", "no ", "one in", "half m", "half f")) else answers(range(N)))
    if case.startswith("the candidate"):
        study.rows("quant", COPY)
    refused(study.compare("quant.yaml"), why)


def test_an_identical_control_is_the_strictest_of_all(study):
    """An engine that is deterministic has one. It hides nothing: all of the copy's drift is beyond such a floor."""
    study.rows("other", BASE)
    study.base(control="other.jsonl")
    assert study.compare("quant.yaml")[0] == 0
    study.copy(answers(range(N)))
    study.gate({**GATE, "margins": {"rougeL": 0.02, "prefix_agreement": 0.02}})
    refused(study.compare("quant.yaml"), "around the margin of 0.02|beyond the margin of 0.02")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"control": "none"}, "No control"),
        ({"control": "base.jsonl"}, "is the baseline itself"),
        ({"control": "quant.jsonl"}, "is the candidate itself"),
        ({"control": "nowhere.jsonl"}, "nowhere.jsonl: can't be read"),
    ],
)
def test_baselines_without_a_control(study, keys, why):
    study.base(**keys)
    refused(study.compare("quant.yaml"), why)
