"""Ways to a pass that isn't one: `fidelity compare` on recorded runs refuses each of them, and names its reason.

The study is honest to begin with (200 prompts, a control, a copy that drifts a little) and passes its gate. So what is
refused is refused for what was done to it.
"""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fidelity.cli import main

N = 200
WORDS = ("dose", "water", "heart", "daily", "table", "review", "patient", "weeks", "morning", "liver", "risk", "low")
METRICS = [
    "identical",
    {"kind": "rouge", "lsum": False},
    "prefix_agreement",
    "length",
    "facts",
    {"kind": "breaks", "checks": ["empty", "length", "loop"]},
]
GATE = {
    "margins": {"rougeL": 0.05, "prefix_agreement": 0.1},
    "breaks": {"empty": 0.05, "length": 0.05, "loop": 0.05},
}
RAN = {"engine": "vllm", "version": "0.26.0", "device": "H100", "mode": "compiled"}
THAI = "กรุงเทพมหานครเป็นเมืองหลวงและเมืองที่มีประชากรมากที่สุดของประเทศไทย"
Rows = list[dict[str, Any]]


def answer(n: int, *, changed: bool = False) -> str:
    """Some forty words; a changed one ends otherwise, as an answer does that diverged late."""
    draw = random.Random(n)
    words = [draw.choice(WORDS) for _ in range(40)]
    if changed:
        words[-2:] = ["instead", "then"]
    return f"Case {n}: take {n + 5} mg, {' '.join(words)}."


def row(n: int, text: str, **keys: Any) -> dict[str, Any]:
    """A recorded answer; its token ids are its words'."""
    ids = [sum(map(ord, word)) for word in text.split()]
    return {"id": f"p{n:03}", "text": text, "token_ids": ids, "finish_reason": "stop", **keys}


def answers(changed: range | tuple[int, ...] = (), count: int = N) -> Rows:
    return [row(n, answer(n, changed=n in changed)) for n in range(count)]


BASE, CONTROL, COPY = answers(), answers(range(0, 20)), answers(range(10, 35))


class Study:
    """A folder with the honest study; what is written again replaces a file of it."""

    def __init__(self, folder, capsys) -> None:
        self.folder, self.store, self._capsys = folder, folder / "store", capsys

    def rows(self, name: str, rows: Rows) -> None:
        """Write NAME.jsonl."""
        lines = [json.dumps(one, ensure_ascii=False) for one in rows]
        (self.folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def run(self, name: str, *, path: str | None = None, ran: dict[str, Any] | None = None, **keys: Any) -> str:
        """Write NAME.yaml, of NAME.jsonl or another file."""
        engine = {"kind": "recorded", "path": path or f"{name}.jsonl", "ran": RAN if ran is None else ran}
        text = json.dumps({"name": name, "engine": engine, **keys})
        (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return f"{name}.yaml"

    def base(self, name: str = "base", *, control: Any = "again.jsonl", **keys: Any) -> str:
        given = {"path": control} if control.endswith(("jsonl", "parquet")) else control
        return self.run(name, label="BF16", control=given, metrics=METRICS, **keys)

    def copy(self, rows: Rows, name: str = "quant", **keys: Any) -> str:
        self.rows(name, rows)
        return self.run(name, **{"label": "W4A16-INT4 g128", **keys})

    def gate(self, gate: Any) -> str:
        text = gate if isinstance(gate, str) else json.dumps(gate)
        (self.folder / "gate.yaml").write_text(text, encoding="utf-8")
        return "gate.yaml"

    def compare(self, *candidates: str, base: str = "base.yaml", options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Exit code and all that was printed, on one line."""
        return self.fidelity("compare", base, *candidates, "--gate", "gate.yaml", "--store", str(self.store), *options)

    def fidelity(self, *arguments: str) -> tuple[int, str]:
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = self._capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture
def study(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    study = Study(folder, capsys)
    study.rows("base", BASE)
    study.rows("again", CONTROL)
    study.base()
    study.copy(COPY)
    study.gate(GATE)
    return study


def refused(result: tuple[int, str], why: str) -> None:
    code, printed = result
    assert code != 0, printed
    assert re.search(why, printed), f"{why!r} isn't in: {printed}"


def test_the_honest_study_passes(study):
    code, printed = study.compare("quant.yaml")
    assert code == 0, printed
    assert "quant: PASS. Every line passes" in printed


# --- the candidate's answers -----------------------------------------------------------------------------------------


def each(change: Callable[[str], str], every: int = 1) -> Callable[[Rows], Rows]:
    """All answers changed, or every so many of them."""
    return lambda rows: [row(n, change(r["text"])) if n % every == 0 else r for n, r in enumerate(rows)]


def fields(every: int = 1, **keys: Any) -> Callable[[Rows], Rows]:
    """Rows with other fields; None takes one away."""

    def changed(rows: Rows) -> Rows:
        given = [{**r, **keys} if n % every == 0 else r for n, r in enumerate(rows)]
        return [{key: value for key, value in r.items() if value is not None} for r in given]

    return changed


def moved(order: Callable[[list[int]], list[int]]) -> Callable[[Rows], Rows]:
    """The same answers, to other prompts."""
    return lambda rows: [{**rows[m], "id": rows[n]["id"]} for n, m in enumerate(order(list(range(len(rows)))))]


def shuffled(numbers: list[int]) -> list[int]:
    return random.Random(1).sample(numbers, len(numbers))


def half_shuffled(numbers: list[int]) -> list[int]:
    half = len(numbers) // 2
    return [*numbers[:half], *shuffled(numbers[half:])]


def words(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda text: " ".join(change(text.split()))


MISSING = r"of \d+ prompts without an answer"
FAR = r"FAIL\. Beyond the limit: .*rougeL"
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
    "said twice": (each(lambda text: f"{text} {text}"), FAR),
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
        FAR,
    ),
    "a row without a text": (lambda rows: [*rows[:-1], {"id": "p199"}], "line 200.*needs 'id' and 'text'"),
    "a text that is a number": (lambda rows: [*rows[:-1], {"id": "p199", "text": 7}], "line 200"),
    "an id that is a number": (lambda rows: [*rows[:-1], {**rows[-1], "id": 199}], "line 200"),
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


# --- a candidate that is something else than it claims ------------------------------------------------------------


CLAIMS: dict[str, tuple[Rows, dict[str, Any], str]] = {
    "the baseline": (BASE, {}, "every text equals the baseline's"),
    "the baseline, labeled FP8": (BASE, {"label": "W8A8-FP8"}, "every text equals the baseline's"),
    "the baseline without a label": (BASE, {"label": None}, "every text equals the baseline's"),
    "the baseline's own file": (BASE, {"path": "base.jsonl"}, "every text equals the baseline's"),
    "the baseline with logprobs": (
        [{**r, "logprobs": [-0.5] * len(r["token_ids"])} for r in BASE],
        {},
        "every text equals the baseline's",
    ),
    "the control": (CONTROL, {}, "is the candidate itself"),
    "the control's own file": (CONTROL, {"path": "again.jsonl"}, "is the candidate itself"),
    "a label of another format than ran": (
        COPY,
        {"ran": {**RAN, "ran_as": "W8A8-FP8"}},
        "is labeled 'W4A16-INT4 g128'",
    ),
    "INT4 that ran as BF16": (COPY, {"ran": {**RAN, "ran_as": "BF16"}}, "is labeled 'W4A16-INT4 g128'"),
    "INT4 without a quantized layer": (COPY, {"ran": {**RAN, "quantized_layers": 0}}, "quantized layer"),
    "a baseline's label, quantized layers 0": (
        COPY,
        {"label": "BF16", "ran": {**RAN, "quantized_layers": 0}},
        "not quantized|no quantized layer",
    ),
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
    "the candidate's answers, written anew": (lambda rows: [dict(reversed(r.items())) for r in COPY], "shares 25"),
    "the candidate's answers but for some": (
        lambda rows: [*COPY[:33], *CONTROL[33:]],
        "shares 23 answers with the candidate",
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


# --- too few prompts -------------------------------------------------------------------------------------------------


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


# --- gate files ------------------------------------------------------------------------------------------------------

LIMITS = ["0", "-0.1", ".nan", ".inf", "-.inf", "1.0e+308", "1", "1.0", "2", "100", "'0.05'", "true", "null", "[0.05]"]
REFUSED = r"gate\.yaml: |gate: margins\.rougeL"
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
    "a column that only describes": ("margins: {length_ratio: 0.05}", "a descriptive column"),
}


@pytest.mark.parametrize("case", GATES)
def test_gates_that_are_none(study, case):
    text, why = GATES[case]
    study.gate(text)
    refused(study.compare("quant.yaml"), why)


SHUFFLED = moved(shuffled)(COPY)
LAX: dict[str, tuple[dict[str, Any], str]] = {
    "nothing but a margin that anything passes": (
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
    "nothing but a tail that anything passes": (
        {"tail": {"rougeL": 0.95}},
        "a limit of 0.95 would accept answers to different prompts",
    ),
}


@pytest.mark.parametrize("case", LAX)
def test_limits_that_anything_passes(study, case):
    gate, why = LAX[case]
    study.copy(SHUFFLED)
    study.gate(gate)
    refused(study.compare("quant.yaml"), why)


# --- columns that nothing was scored in ------------------------------------------------------------------------------

UNSCORED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no code": ("code", {"margins": {"code": 0.05}}, "no prompt could be scored"),
    "no JSON": ("json", {"margins": {"json_keys": 0.05}}, "no prompt could be scored"),
    "no structure": ("markdown", {"margins": {"markdown": 0.05}}, "no prompt could be scored"),
    "no thinking": ("thinking", {"margins": {"thinking.rougeL": 0.05}}, "no thinking was found in the texts"),
    "no repeats": ("diversity", {"margins": {"diversity_similarity": 0.05}}, "there is only one answer to each prompt"),
    "no forced tokens": ("tokens", {"margins": {"top1_agreement": 0.02}}, "top1_agreement"),
    "no whole vocabulary": ("kl", {"margins": {"kl": 0.02}}, "kl"),
    "nothing but breaks that can't be scored": ("tokens", {"margins": {"sure_flips": 0.02}}, "sure_flips"),
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


# --- several candidates ----------------------------------------------------------------------------------------------

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


# --- a store that was changed ----------------------------------------------------------------------------------------


@pytest.fixture
def stored(study, tmp_path):
    """The folder of a comparison that fails, in a store of its own."""
    study.store = tmp_path / "store"
    study.copy(SHUFFLED)
    assert study.compare("quant.yaml")[0] == 1
    return the_one(study, "comparisons/base--quant-*")


def the_one(study, pattern):
    """The one folder of the store that fits."""
    (path,) = study.store.glob(pattern)
    return path


def rewritten(file, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(file)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), file)


def perfect(table: pa.Table) -> pa.Table:
    """Every number a 1."""
    for place, name in enumerate(table.column_names):
        if pa.types.is_floating(table[name].type):
            table = table.set_column(place, name, pa.array([1.0] * len(table)))
    return table


class TestStore:
    def judged_again(self, study, path):
        return study.fidelity("gate", "check", str(path), "--gate", "gate.yaml")

    def test_as_it_was_it_fails_again(self, study, stored):
        refused(self.judged_again(study, stored), "FAIL")

    def test_scores_that_were_changed(self, study, stored):
        for file in stored.glob("rouge-*.parquet"):
            rewritten(file, perfect)
        refused(self.judged_again(study, stored), "were changed after scoring")
        refused(study.compare("quant.yaml"), "were changed after scoring")

    def test_scores_of_another_comparison(self, study, stored):
        study.copy(COPY, "good")
        assert study.compare("good.yaml")[0] == 0
        good = the_one(study, "comparisons/base--good-*")
        for file in good.glob("*.parquet"):
            (stored / file.name).write_bytes(file.read_bytes())
        refused(self.judged_again(study, stored), "belong to another comparison")

    def test_scores_that_are_missing(self, study, stored):
        for file in stored.glob("rouge-*.parquet"):
            file.unlink()
        refused(self.judged_again(study, stored), "rougeL")

    def test_scores_that_are_cut_short(self, study, stored):
        for file in stored.glob("*.parquet"):
            file.write_bytes(file.read_bytes()[:-20])
        refused(self.judged_again(study, stored), "can't be read")

    def test_answers_that_were_changed(self, study, stored):
        run = the_one(study, "runs/quant-*")
        base = the_one(study, "runs/base-*")
        texts = pq.read_table(base / "generations.parquet")["text"]
        rewritten(
            run / "generations.parquet", lambda table: table.set_column(table.column_names.index("text"), "text", texts)
        )
        refused(study.compare("quant.yaml"), "was changed after the run was finished")

    def test_answers_of_another_run(self, study, stored):
        run = the_one(study, "runs/quant-*")
        base = the_one(study, "runs/base-*")
        (run / "generations.parquet").write_bytes((base / "generations.parquet").read_bytes())
        refused(study.compare("quant.yaml"), "was changed after the run was finished")

    def test_a_recording_that_changed_is_another_run(self, study, stored):
        study.copy(COPY[:60])
        refused(study.compare("quant.yaml"), MISSING)

    @pytest.mark.parametrize("missing", ["manifest.json", "."])
    def test_a_run_that_is_gone(self, study, stored, missing):
        run = the_one(study, "runs/quant-*")
        for file in run.iterdir():
            if missing in (".", file.name):
                file.unlink()
        refused(self.judged_again(study, stored), "quant-")

    def test_a_controls_comparison_is_no_candidates(self, study, stored):
        control = the_one(study, "comparisons/base--again-*")
        refused(self.judged_again(study, control), "not a finished comparison of a candidate")


@pytest.mark.parametrize(
    "case", ["to other prompts", "the first half is missing", "one in five is in Thai", "all failed"]
)
def test_until_decided_sees_the_same(study, case):
    change, why = ANSWERS[case]
    study.copy(change(COPY))
    refused(study.compare("quant.yaml", options=("--until-decided",)), why)
