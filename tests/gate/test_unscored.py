"""What can't be scored: answers of the candidate count as worst, prompts of the baseline are out, and no line hides it.

Each of these once was a `PASS`, since what could not be scored left the denominator.
"""

import json
import shutil

import pytest

from fidelity import load
from fidelity.comparison.evidence import evidence_of, verdicts
from fidelity.comparison.history import history
from fidelity.comparison.stored import load_comparison
from fidelity.dashboard.summaries import rows_of, verdict_on
from fidelity.gate import Gate, Measured, judge
from fidelity.records import Column, PromptValue
from fidelity.store.store import Store
from tests.encoders.minilm import minilm_source, needs_minilm
from tests.gate.evidence import by_id, evidence, line_of
from tests.manifests import edited

N, UNSCORED = 120, 20
LIMIT = 1_000
THAI = "กรุงเทพมหานครเป็นเมืองหลวงและเมืองที่มีประชากรมากที่สุดของประเทศไทย"


def text(n):
    return (
        f"# Case {n}\n\nThe dose is {n + 3} mg, taken with water. It is reviewed after {n % 9 + 2} weeks.\n\n"
        f"- patients: {n}\n- weeks: {n % 9}\n\n```python\nx = {n}\nprint(x + 1)\n```\n\n"
        f'```json\n{{"dose": {n}, "unit": "mg"}}\n```\n'
    )


def row(n, **keys):
    words = text(n).split()
    given = {"id": f"p{n:03}", "text": text(n), "token_ids": [len(w) for w in words], "finish_reason": "stop", **keys}
    return {key: value for key, value in given.items() if value is not None}


RUNAWAY = {
    "code": ("code", {"margins": {"code": 0.05}}, {"text": "```python\n" + "y = 2\n" * 6_000}),
    "code parses": ("code", {"margins": {"code_parses": 0.05}}, {"text": "```python\n" + "y = 2\n" * 6_000}),
    "prefix agreement": ("prefix_agreement", {"margins": {"prefix_agreement": 0.05}}, {"token_ids": None}),
    "length": ("length", {"margins": {"length_similarity": 0.05}}, {"token_ids": None}),
    "cut off": ("breaks", {"breaks": {"length": 0.05}}, {"finish_reason": None}),
    "markdown": ("markdown", {"margins": {"markdown": 0.05}}, {"text": "word " * LIMIT}),
    "json": ("json", {"margins": {"json_keys": 0.05}}, {"text": "word " * LIMIT}),
    "sentences": ("counts", {"margins": {"sentence_similarity": 0.05}}, {"text": "word " * LIMIT}),
    "broken json": ("breaks", {"breaks": {"json": 0.05}}, {"text": "word " * LIMIT}),
    "language": ("breaks", {"breaks": {"language": 0.05}}, {"text": "word " * LIMIT}),
}
"""The metric, the gate, and what the candidate's answers that can't be scored are like."""


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch):
    """A small length limit of the structural metrics: no test should write megabytes."""
    for module in ("text.blocks", "text.documents", "metrics.counts"):
        monkeypatch.setattr(f"fidelity.{module}.MAX_CHARACTERS", LIMIT)


@pytest.fixture
def judged(fidelity, workspace):
    """Compares three recorded runs by a gate; gives the exit code and the output."""

    def judged(metrics, gate, *, base=(), control=(), quant=()):
        """`base`, `control` and `quant` are what differs from the rows that all runs share, by prompt."""
        changed = {N - 1: {"text": text(N - 1).replace("water", "milk")}}  # a byte copy could never pass
        differing = {"base": dict(base), "control": dict(control), "quant": {**changed, **dict(quant)}}
        rows = {name: [row(n, **own.get(n, {})) for n in range(N)] for name, own in differing.items()}
        workspace.recorded("again", rows["control"])
        baseline = workspace.recorded("base", rows["base"], control={"path": "again.jsonl"}, metrics=metrics)
        candidate = workspace.recorded("quant", rows["quant"], label="INT4")
        workspace.file("gate.yaml", json.dumps(gate))
        code, out, err = fidelity("compare", baseline, candidate, "--gate", "gate.yaml", "--json", "out.json")
        return code, " ".join((out + err).split())

    return judged


def telling_apart(gate):
    """With a margin that answers to other prompts exceed: all answers here are alike in structure."""
    return {**gate, "margins": {**gate.get("margins", {}), "identical": 0.3}}


def first(keys, count=UNSCORED):
    return dict.fromkeys(range(count), keys)


@pytest.mark.parametrize("case", RUNAWAY)
class TestEveryMetric:
    def test_the_fixture_passes_where_everything_is_scored(self, judged, case):
        metric, gate, _ = RUNAWAY[case]
        code, out = judged([metric, "identical"], telling_apart(gate))
        assert code == 0, out
        assert "could not be scored" not in out

    def test_answers_of_the_candidate_count_as_worst(self, judged, case):
        metric, gate, unscored = RUNAWAY[case]
        code, out = judged([metric], gate, quant=first(unscored))
        assert code == 1, out
        assert "20 of 120 answers could not be scored and count as worst" in out

    def test_prompts_whose_baseline_cant_be_scored_are_out_and_too_many_are_no_pass(self, judged, case):
        metric, gate, unscored = RUNAWAY[case]
        for side in ({"base": first(unscored)}, {"base": first(unscored), "quant": first(unscored)}):
            code, out = judged([metric], gate, **side)
            assert code == 2, out
            assert "only 100 of 120 prompts could be scored, but min_coverage is 0.9" in out

    def test_a_gate_may_ask_for_less(self, judged, case):
        metric, gate, unscored = RUNAWAY[case]
        name = next(iter(gate.get("margins") or gate["breaks"]))
        runs = {"base": first(unscored), "control": first(unscored)}
        assert judged([metric, "identical"], {**telling_apart(gate), "min_coverage": 0.8}, **runs)[0] == 0
        assert judged([metric, "identical"], {**telling_apart(gate), "min_coverage": {name: 0.8}}, **runs)[0] == 0

    def test_one_prompt_of_120_is_no_matter(self, judged, case):
        metric, gate, unscored = RUNAWAY[case]
        assert judged([metric, "identical"], telling_apart(gate), base=first(unscored, 1))[0] == 0


@pytest.mark.parametrize(
    ("side", "name"),
    [({"quant": first({"token_ids": None}, N)}, "quant"), ({"base": first({"token_ids": None}, N)}, "base")],
)
def test_a_run_without_token_ids_leaves_the_line_undecided(judged, side, name):
    code, out = judged(["prefix_agreement"], {"margins": {"prefix_agreement": 0.05}}, **side)
    assert code == 2, out
    assert f"Not judged: {name} has no token ids" in out


@pytest.mark.parametrize("name", ["quant", "base", "control"])
def test_a_run_without_finish_reasons_leaves_the_line_undecided(judged, name):
    side = {name: first({"finish_reason": None}, N)}
    code, out = judged(["breaks"], {"breaks": {"length": 0.05, "json": 0.05}}, **side)
    assert code == 2, out
    assert f"Not judged: {'again' if name == 'control' else name} has no finish reasons" in out


def test_a_control_that_cant_be_scored_takes_its_prompts_out(judged):
    code, out = judged(["code"], {"margins": {"code": 0.05}}, control=first(RUNAWAY["code"][2]))
    assert code == 2
    assert "only 100 of 120 prompts could be scored" in out
    for run in ("quant", "base"):  # it can't make a candidate look good that has no score either
        runs = {"control": first(RUNAWAY["code"][2]), run: first(RUNAWAY["code"][2])}
        assert judged(["code"], {"margins": {"code": 0.05}}, **runs)[0] == 2


@needs_minilm
def test_english_answers_that_turn_thai_cant_be_read_and_are_no_pass(judged):
    metric = {"kind": "sts", "encoder": str(minilm_source().path)}
    code, out = judged([metric], {"margins": {"sts": 0.05}}, quant=first({"text": THAI}))
    assert code == 1
    assert "20 of 120 answers could not be scored and count as worst" in out


class TestReports:
    @pytest.fixture
    def comparison(self, judged, workspace, fidelity):
        judged(["code", "identical"], {"margins": {"code": 0.05}}, quant=first(RUNAWAY["code"][2]))
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--quant-*")
        return path

    def test_every_format_has_the_number(self, comparison, fidelity, workspace):
        formats = {"--markdown": "r.md", "--html": "r.html", "--junit": "r.xml", "--json": "r.json"}
        options = [word for option in formats.items() for word in option]
        assert fidelity("gate", "check", comparison, "--gate", "gate.yaml", *options)[0] == 1
        for file in formats.values():
            assert "20 of 120 answers could not be scored" in (workspace.folder / file).read_text(), file
        (result,) = json.loads((workspace.folder / "r.json").read_text())["comparisons"]
        assert (result["columns"]["code"]["n"], result["columns"]["code"]["n_worst"]) == (120, 20)
        assert (result["verdict"]["lines"][0]["n_worst"], result["verdict"]["lines"][0]["coverage"]) == (20, 1.0)

    def test_the_store_keeps_the_sides(self, comparison):
        (candidate,) = load_comparison(comparison).candidates
        assert candidate.columns["code"].column.sides == ("candidate",) * 20 + (None,) * 100

    def test_a_store_without_sides_is_read_to_the_candidates_disadvantage(self, comparison, tmp_path):
        import pyarrow.parquet as pq

        store = shutil.copytree(comparison.parent.parent, tmp_path / "old")
        for file in store.glob("comparisons/*/code-*.parquet"):
            table = pq.read_table(file)
            meta = json.loads(table.schema.metadata[b"fidelity"])
            for column in meta["columns"]:
                column.pop("sides", None)
                column.pop("digest", None)
            table = table.select([name for name in table.column_names if not name.endswith("@side")])
            pq.write_table(table.replace_schema_metadata({"fidelity": json.dumps(meta)}), file)
        edited(  # such a store has no scores between the candidate and the controls either
            store / "comparisons" / comparison.name / "manifest.json",
            lambda data: {key: value for key, value in data.items() if key not in ("references", "between_controls")},
        )
        result = load_comparison(store / "comparisons" / comparison.name)
        assert result.candidates[0].columns["code"].column.sides[:21] == ("candidate",) * 20 + (None,)
        (verdict,) = verdicts(result, Gate(margins={"code": 0.05})).values()
        assert verdict.outcome == "fail"


@pytest.mark.parametrize(
    ("side", "n", "unscored", "worst"),
    [("candidate", 120, 0, 20), ("baseline", 100, 20, 0)],
    ids=["candidate", "baseline"],
)
def test_all_readers_of_columns_treat_unscored_answers_alike(judged, workspace, fidelity, side, n, unscored, worst):
    """Verdict, JSON report, dashboard, history, Python and the tail: the same prompts with the same values."""
    runaway = RUNAWAY["code"][2]
    sides = {"quant": first(runaway)} if side == "candidate" else {"base": first(runaway), "control": first(runaway)}
    judged(["code"], {"margins": {"code": 0.05}}, **sides)
    store = Store(workspace.folder / "fidelity-store")
    (path,) = (store.root / "comparisons").glob("base--quant-*")
    gate = Gate(margins={"code": 0.05})
    (verdict,) = verdicts(load_comparison(path), gate).values()
    line = line_of(verdict, "code")
    assert (line.n, line.n_worst) == (n, worst)
    (entry,) = history(store, gate)
    assert line_of(entry.verdict, "code") == line
    assert verdict_on(path, gate).lines == verdict.lines
    assert fidelity("gate", "check", path, "--gate", "gate.yaml", "--json", "again.json")[0] in (1, 2)
    (reported,) = json.loads((workspace.folder / "again.json").read_text())["comparisons"]
    shown = rows_of([path], ["code"])[path]["code"]
    printed = reported["columns"]["code"]
    assert (shown.n, shown.n_unscored, shown.n_worst) == (n, unscored, worst)
    assert (printed["n"], printed["n_unscored"], printed["n_worst"]) == (n, unscored, worst)
    assert (shown.excess, printed["excess"]["mean"]) == (pytest.approx(line.value), pytest.approx(line.value))
    measured = evidence_of(load_comparison(path), load_comparison(path).candidates[0]).columns["code"]
    excess = [value for value in measured.excess().values() if value is not None]
    assert (len(excess), sum(excess) / len(excess)) == (n, pytest.approx(line.value))
    table = load(path).to_pandas()
    scored = table[(table.run == "quant") & table.code.notna()]
    assert len(scored) == 100


class TestMissingAnswers:
    def test_seven_of_twelve_fail_even_where_the_others_agree(self, fidelity, workspace):
        rows = [row(n) for n in range(12)]
        workspace.recorded("again", rows)
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical"])
        quant = workspace.recorded("quant", rows[:5], label="INT4")
        workspace.file("gate.yaml", json.dumps({"margins": {"identical": 0.05}}))
        code, out, _ = fidelity("compare", base, quant, "--gate", "gate.yaml")
        assert code == 1, out
        assert "7 of 12 prompts without an answer" in out

    @pytest.mark.parametrize("control", [True, False])
    def test_they_are_in_the_first_table_although_every_column_is_constant(self, fidelity, workspace, control):
        rows = [row(n) for n in range(12)]
        workspace.recorded("again", rows)
        keys = {"control": {"path": "again.jsonl"} if control else "none"}
        base = workspace.recorded("base", rows, metrics=["identical"], **keys)
        quant = workspace.recorded("quant", rows[:5], label="INT4")
        options = ("--markdown", "r.md", "--html", "r.html", "--json", "r.json", "--junit", "r.xml")
        code, out, _ = fidelity("compare", base, quant, *options)
        assert code == 0
        (line,) = [line for line in out.splitlines() if line.startswith("quant  ")]
        assert line.split()[1:3] == ["5/5", "7"]
        first_row = (workspace.folder / "r.md").read_text().split("---: |\n")[1].split("\n")[0]
        assert [cell.strip() for cell in first_row.split("|")[1:3]] == ["failed prompts", "7"]
        assert "<th>failed prompts</th>" in (workspace.folder / "r.html").read_text()
        assert 'name="failed prompts" value="7"' in (workspace.folder / "r.xml").read_text()
        assert json.loads((workspace.folder / "r.json").read_text())["comparisons"][0]["failed"] == 7

    def test_a_missing_answer_is_not_that_of_another_prompt_with_the_same_text(self, fidelity, workspace):
        prompts = [{"id": f"p{n}", "prompt": "Go on."} for n in range(3)]
        base = workspace.recorded("base", [{**prompt, "text": f"answer {n}"} for n, prompt in enumerate(prompts)])
        quant = workspace.recorded(
            "quant", [{**prompts[0], "text": "answer 0"}, {"id": "x", "prompt": "Go on.", "text": "y"}]
        )
        fidelity("compare", base, quant, "--metric", "identical", "--json", "out.json")
        (result,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        assert result["failed"] == 2


class TestColumnsWithoutAWorstValue:
    def measured(self, candidate, control):
        return {"kl": Measured(Column("kl", (), better="lower", bounds=None), by_id(candidate), (by_id(control),))}

    def test_a_line_cant_pass_while_an_answer_of_the_candidate_is_unscored(self):
        gate, control = Gate(margins={"kl": 0.05}), [0.01] * 300
        whole = judge(gate, evidence(self.measured([0.01] * 299 + [0.011], control)))
        assert line_of(whole, "kl").outcome == "pass"
        verdict = judge(gate, evidence(self.measured([0.01] * 299 + [None], control)))
        assert line_of(verdict, "kl").outcome == "inconclusive"
        assert (
            "1 of 300 prompts could not be scored in the candidate, and the column has no worst value"
            in line_of(verdict, "kl").reason
        )

    def test_a_prompt_that_nobody_can_be_scored_on_is_no_matter(self):
        verdict = judge(
            Gate(margins={"kl": 0.05}), evidence(self.measured([0.01] * 299 + [None], [0.01] * 299 + [None]))
        )
        assert line_of(verdict, "kl").outcome == "pass"


def test_a_line_far_beyond_its_limit_fails_however_little_it_covers():
    columns = {"sts": Measured(Column("sts", ()), by_id([0.1] * 100 + [None] * 200), (by_id([0.9] * 300),))}
    verdict = judge(Gate(margins={"sts": 0.05}), evidence(columns))
    assert verdict.outcome == "fail"
    assert line_of(verdict, "sts").coverage == pytest.approx(1 / 3)


def test_worst_answers_among_repeats_are_counted_one_by_one():
    values = {f"p{n}": PromptValue(0.5, 1.0, n_worst=1) for n in range(300)}
    columns = {"sts": Measured(Column("sts", ()), values, (by_id([0.9] * 300),))}
    line = line_of(judge(Gate(margins={"sts": 0.05}), evidence(columns, repeats=2)), "sts")
    assert "300 of 600 answers could not be scored and count as worst" in line.reason
