"""Ways to a pass that isn't one: gate files, columns that nothing was scored in, and several candidates."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.gate.study import BASE, CONTROL, COPY, METRICS, SHUFFLED, Study, refused

LIMITS = ["0", "-0.1", ".nan", ".inf", "-.inf", "1.0e+308", "1", "1.0", "2", "100", "'0.05'", "true", "null", "[0.05]"]
REFUSED = r"gate\.yaml: |gate\.yaml: margins\.rougeL"
GATES: dict[str, tuple[str, str]] = {
    **{f"a margin of {limit}": (f"margins: {{rougeL: {limit}}}", REFUSED) for limit in LIMITS},
    **{f"a tail of {limit}": (f"tail: {{rougeL: {limit}}}", REFUSED + r"|tail\.rougeL") for limit in LIMITS[:9]},
    **{f"a share of {limit}": (f"breaks: {{empty: {limit}}}", REFUSED) for limit in (*LIMITS[:9], "5")},
    **{
        f"{key}: {value}": (f"margins: {{rougeL: 0.05}}\n{key}: {value}", REFUSED)
        for key, values in {
            "confidence": ("0", "0.5", "1", "95", "-1", ".nan", ".inf", "'0.95'", "true"),
            "max_failed": ("1", "-0.1", "2", "50", ".nan", ".inf", "true"),
            "min_coverage": ("0", "-1", "2", ".nan", "true", "'0.9'", "{sts: 0.5}", "{rougeL: 0}"),
            "primary": ("sts", "identical", "''"),
            "marginss": ("{rougeL: 0.1}",),
        }.items()
        for value in values
    },
    "nothing": ("", REFUSED),
    "an empty mapping": ("{}", "contains no limit"),
    "no limit": ("confidence: 0.95", "contains no limit"),
    "empty limits": ("margins: {}\nbreaks: {}", "contains no limit"),
    "no YAML": ("margins: {rougeL: 0.05", "not YAML"),
    "a list": ("- rougeL: 0.05", REFUSED),
    "margins twice": ("margins: {rougeL: 0.05}\nmargins: {rougeL: 0.9}", "duplicate key 'margins'"),
    "margins twice, the laxer one first": ("margins: {rougeL: 0.9}\nmargins: {rougeL: 0.05}", "duplicate key"),
    "a column twice": ("margins: {rougeL: 0.05, rougeL: 0.9}", "duplicate key 'rougeL'"),
    "confidence twice": ("margins: {rougeL: 0.05}\nconfidence: 0.95\nconfidence: 0.51", "duplicate key"),
    "max_failed twice": ("margins: {rougeL: 0.05}\nmax_failed: 0.01\nmax_failed: 0.9", "duplicate key"),
    "a column that doesn't exist": ("margins: {rougeLL: 0.05}", "no such column"),
    "a column that isn't scored": ("margins: {sts: 0.05}", "margins.sts"),
    "a check that doesn't exist": ("breaks: {emptiness: 0.05}", "breaks.emptiness"),
    "a check that isn't scored": ("breaks: {json: 0.05}", "breaks.json"),
    "a descriptive column": ("margins: {length_ratio: 0.05}", "a descriptive column"),
}


@pytest.mark.parametrize("case", GATES)
def test_gates_that_are_none(study, case):
    text, why = GATES[case]
    study.gate(text)
    refused(study.compare("quant.yaml"), why)


LAX: dict[str, tuple[dict[str, Any], str]] = {
    "only a margin that anything passes": (
        {"margins": {"rougeL": 0.95}},
        "a limit of 0.95 would accept answers to different prompts",
    ),
    "a primary whose margin anything passes": (
        {"margins": {"rougeL": 0.05, "length_similarity": 0.5}, "primary": "length_similarity"},
        "a limit of 0.5 would accept answers to different prompts",
    ),
    "the same with breaks": (
        {"margins": {"rougeL": 0.05, "identical": 0.99}, "primary": "identical", "breaks": {"empty": 0.05}},
        "a limit of 0.99 would accept answers to different prompts",
    ),
    **{
        f"only {key}: {limits}": (
            {key: limits, **more},
            rf"gate\.yaml: {key}\.{next(iter(limits))}: [\d.]+ accepts a copy that is broken in half of its answers",
        )
        for key, limits, more in (
            ("margins", {"break_empty": 0.99}, {}),
            ("margins", {"break_loop": 0.5}, {}),
            ("margins", {"break_empty": 0.9, "break_loop": 0.7}, {}),
            ("tail", {"break_empty": 0.99}, {}),
            ("breaks", {"empty": 0.99}, {}),
            ("breaks", {"empty": 0.5, "loop": 0.6, "length": 0.999}, {}),
            ("conflicts", {"any": 0.99}, {}),
            ("conflicts", {"any": 0.9, "number": 0.5}, {"breaks": {"empty": 0.8}}),
            ("margins", {"break_empty": 0.6}, {"primary": "break_empty"}),
        )
    },
    "a margin that anything passes beside breaks in half of the answers": (
        {"margins": {"identical": 0.99}, "breaks": {"empty": 0.9}},
        "a limit of 0.99 would accept answers to different prompts",
    ),
    "a margin of breaks in nearly all answers beside a share that can fail": (
        {"margins": {"break_empty": 0.99}, "breaks": {"loop": 0.05}},
        r"a limit of 0.99 would accept a copy half way from the floor to the worst value \(1\)",
    ),
    "a primary of breaks in nearly all answers": (
        {"margins": {"rougeL": 0.05, "break_empty": 0.99}, "primary": "break_empty", "breaks": {"loop": 0.05}},
        r"a limit of 0.99 would accept a copy half way from the floor to the worst value \(1\)",
    ),
    "only a tail that anything passes": (
        {"tail": {"rougeL": 0.95}},
        "a limit of 0.95 would accept answers to different prompts",
    ),
}


@pytest.mark.parametrize("case", LAX)
def test_limits_that_anything_passes(study, case):
    gate, why = LAX[case]
    study.copy(SHUFFLED)
    study.gate(gate)
    if "conflicts" in gate:
        study.run("base", label="BF16", control={"path": "again.jsonl"}, metrics=[*METRICS, "conflicts"])
    refused(study.compare("quant.yaml"), why)


UNSCORED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no code": ("code", {"margins": {"code": 0.05}}, "no prompt could be scored"),
    "no JSON": ("json", {"margins": {"json_keys": 0.05}}, "no prompt could be scored"),
    "no structure": ("markdown", {"margins": {"markdown": 0.05}}, "no prompt could be scored"),
    "no thinking": ("thinking", {"margins": {"thinking.rougeL": 0.05}}, "no thinking was found in the texts"),
    "no repeats": ("diversity", {"margins": {"diversity_similarity": 0.05}}, "there is only one answer to each prompt"),
    "no forced tokens": ("tokens", {"margins": {"top1_agreement": 0.02}}, "top1_agreement"),
    "no whole vocabulary": ("kl", {"margins": {"kl": 0.02}}, "kl"),
    "only breaks that can't be scored": ("tokens", {"margins": {"sure_flips": 0.02}}, "sure_flips"),
}


@pytest.mark.parametrize("case", UNSCORED)
def test_columns_that_are_not_scored(study, case):
    metric, gate, why = UNSCORED[case]
    study.run("base", label="BF16", control={"path": "again.jsonl"}, metrics=[*METRICS, metric])
    study.gate(gate)
    refused(study.compare("quant.yaml"), why)


def test_a_column_with_something_to_score_on_few_prompts(study):
    """Code in 150 of 200 answers, all of it the same: enough for the bound, not for all prompts."""
    code = "\n```python\nprint(1)\n```\n"
    for name, rows in (("base", BASE), ("again", CONTROL), ("quant", COPY)):
        study.rows(name, [{**r, "text": r["text"] + code * (n < 150)} for n, r in enumerate(rows)])
    study.run("base", label="BF16", control={"path": "again.jsonl"}, metrics=["code"])
    study.gate({"margins": {"code": 0.05}})
    refused(study.compare("quant.yaml"), "only 150 of 200 prompts could be scored, but min_coverage is 0.9")


BAD: dict[str, tuple[Callable[[Study], str], str]] = {
    "one drifted": (lambda study: study.copy(SHUFFLED, "bad"), "bad: FAIL"),
    "one is half there": (lambda study: study.copy(COPY[:100], "bad"), "bad: (FAIL|INCONCLUSIVE)"),
    "one is the baseline": (lambda study: study.copy(BASE, "bad"), "bad: INCONCLUSIVE"),
    "one has a bad row": (lambda study: study.copy([*COPY[:3], {"id": 4}], "bad"), "bad: not compared"),
    "one is empty": (lambda study: study.copy([], "bad"), "bad: not compared"),
    "one has no file": (lambda study: study.run("bad", path="nowhere.jsonl"), "bad: not compared"),
    "one has no YAML": (lambda study: "nowhere.yaml", "nowhere.yaml: not compared"),
    "one failed everywhere": (
        lambda study: study.copy([{"id": r["id"], "failure": "crashed"} for r in COPY], "bad"),
        "bad: not compared",
    ),
    "one has the other's name": (lambda study: study.copy(COPY, "quant"), "the name 'quant' is used in two files"),
    "one has the baseline's name": (lambda study: "base.yaml", "the name 'base' is used in two files"),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_candidate_beside_a_good_one(study, case, first):
    write, why = BAD[case]
    bad = write(study)
    candidates = (bad, "quant.yaml") if first else ("quant.yaml", bad)
    refused(study.compare(*candidates), why)
