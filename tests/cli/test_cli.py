"""The command line as users see it: tables, JSON, exit codes, and messages about wrong input."""

import json

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tests.conftest import RECORDINGS, ROOT

RECORDED = ROOT / "examples" / "recordings"
CANDIDATES = ("bf16-serial", "bf16-eager", "w8a8-fp8", "fp8-online", "w8a8-int8", "w4a16")
# From the recordings' own README: rouge-score 0.1.2 without stemming, all-MiniLM-L6-v2 truncated, engine token ids.
PUBLISHED = {
    "bf16-serial": (0.80, 0.984, 0.981, 0.995, 130, 0.998),
    "bf16-eager": (0.27, 0.666, 0.623, 0.862, 30, 1.047),
    "w8a8-fp8": (0.00, 0.448, 0.377, 0.753, 8, 1.086),
    "fp8-online": (0.06, 0.477, 0.414, 0.767, 8, 1.088),
    "w8a8-int8": (0.06, 0.446, 0.381, 0.750, 7, 1.048),
    "w4a16": (0.00, 0.271, 0.219, 0.612, 1, 1.297),
}


@pytest.fixture
def two(workspace):
    """A recorded baseline with its control, and a candidate, of two prompts."""
    workspace.file("again.jsonl", '{"id": "a", "text": "one two"}\n{"id": "b", "text": "one two three four"}')
    rows = [{"id": "a", "text": "one two"}, {"id": "b", "text": "one two three three"}]
    base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical", "rouge"])
    return base, workspace.recorded("quant", [{"id": "a", "text": "one six"}, {"id": "b", "text": ""}])


def _mean_rouge1(reference, candidate):
    """As the package rouge-score has it."""
    read = {}
    for name in (reference, candidate):
        lines = (RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        read[name] = {row["id"]: row["text"] for row in map(json.loads, lines)}
    scorer = RougeScorer(["rouge1"], use_stemmer=False)
    scores = [scorer.score(text, read[candidate][i])["rouge1"].fmeasure for i, text in read[reference].items()]
    return sum(scores) / len(scores)


class TestCompare:
    @pytest.mark.slow  # tests/metrics/test_recordings.py has the table, and the demo's test the command
    @pytest.mark.skipif(not (ROOT / "models" / "all-MiniLM-L6-v2").exists(), reason="no encoder: make models")
    def test_the_recordings_give_their_published_table(self, fidelity, workspace):
        files = [RECORDED / f"{name}.yaml" for name in ("bf16", *CANDIDATES)]
        code, out, error = fidelity("compare", *files, "--json", "out.json")
        assert code == 0, error
        report = json.loads((workspace.folder / "out.json").read_text())
        assert [control["name"] for control in report["controls"]] == ["bf16-rev"]
        floor = report["floor"]["columns"]
        assert round(floor["rougeL"]["mean"], 3) == 0.958
        assert floor["first_divergence"]["median"] == 110
        for comparison in report["comparisons"]:
            columns = comparison["columns"]
            identical, *others = PUBLISHED[comparison["candidate"]["name"]]
            assert round(columns["identical"]["mean"], 2) == identical
            named = [columns[name]["mean"] for name in ("rouge1", "rougeL", "sts")]
            named += [round(columns["first_divergence"]["median"]), columns["length_ratio"]["mean"]]
            assert [round(value, 3) for value in named] == others
            # Baseline and control are both references: the excess is against the candidate's mean to the two of them.
            to_control = _mean_rouge1("bf16-rev", comparison["candidate"]["name"])
            assert columns["rouge1"]["excess"]["mean"] == pytest.approx(
                floor["rouge1"]["mean"] - (columns["rouge1"]["mean"] + to_control) / 2, abs=1e-12
            )
        assert "W4A16-INT4 g64" in out

    def test_the_table_and_the_json_say_the_same(self, fidelity, two, workspace):
        code, out, _ = fidelity("compare", *two, "--json", "out.json", "--full")
        assert code == 0
        (comparison,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        # a: "one two" against "one six" shares 1 word of 2 and 2: F1 0.5. b: against nothing, 0. Mean 0.25.
        # Control: a is the same (1.0); b shares 3 words of 4 and 4 (0.75). Excess: (0.5 + 0.75) / 2 = 0.625.
        assert comparison["columns"]["rouge1"]["mean"] == 0.25
        assert comparison["columns"]["rouge1"]["excess"]["mean"] == 0.625
        assert comparison["columns"]["rouge1"]["signature"].startswith("rouge|tokenizer:unicode|stem:False")
        assert "0.250" in out
        assert "+0.625" in out
        # Its chance level pairs a's answer with b's baseline and the other way round: "one six" with "one two three
        # three" shares 1 word of 2 and 4, F1 2/6; b's is empty, 0. Mean 1/6.
        assert comparison["columns"]["rouge1"]["low"] == pytest.approx(1 / 6)
        assert "0.167" in out
        assert "Drift is displacement, not quality" in out

    def test_without_a_control_there_is_no_floor(self, fidelity, two, workspace):
        base = workspace.recorded("base", [{"id": "a", "text": "x"}], metrics=["identical"])
        code, out, _ = fidelity("compare", base, two[1], "--json", "out.json")
        assert code == 0
        assert "No floor" in out
        report = json.loads((workspace.folder / "out.json").read_text())
        assert report["floor"] is None
        assert report["comparisons"][0]["columns"]["identical"]["excess"] is None

    def test_a_prompt_without_an_answer_is_a_failure_and_is_shown(self, fidelity, two, workspace):
        quant = workspace.recorded("quant", [{"id": "a", "text": "one two"}])
        code, out, _ = fidelity("compare", two[0], quant, "--json", "out.json")
        assert code == 0
        (comparison,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        assert comparison["failed"] == 1
        identical = comparison["columns"]["identical"]
        assert (identical["mean"], identical["n"], identical["n_unscored"]) == (1.0, 1, 0)
        assert identical["excess"] == {"mean": 0.0}
        assert identical["low"] is None  # one pair has no other prompt
        assert "prompt b failed: quant: quant.jsonl has no output for it" in out

    def test_every_report_that_is_asked_for_is_written(self, fidelity, two, workspace):
        code, _, _ = fidelity("compare", *two, "--markdown", "out.md", "--junit", "out.xml", "--html", "out.html")
        assert code == 0
        assert (workspace.folder / "out.md").read_text().startswith("## fidelity\n\nNo gate was given")
        assert '<skipped message="No gate was given' in (workspace.folder / "out.xml").read_text()
        assert "<title>fidelity: base</title>" in (workspace.folder / "out.html").read_text()

    def test_in_github_actions_summary_and_annotation_come_by_themselves(self, fidelity, two, workspace, monkeypatch):
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(workspace.folder / "summary.md"))
        _, out, _ = fidelity("compare", *two)
        assert out.splitlines()[-1] == "::notice title=fidelity::No gate was given, so nothing was judged."
        assert (workspace.folder / "summary.md").read_text().startswith("## fidelity")

    def test_metric_chooses(self, fidelity, two):
        code, out, _ = fidelity("compare", *two, "--metric", "identical", "--full")
        assert code == 0
        assert "identical" in out
        assert "rouge" not in out

    def test_a_narrow_terminal_gets_several_tables(self, fidelity, two, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        _, out, _ = fidelity("compare", *two, "--full")
        assert max(len(line) for line in out.splitlines()) <= 60
        assert len([line for line in out.splitlines() if line.startswith("words ")]) == 3

    def test_a_wide_table_is_one_whatever_the_terminal(self, fidelity, two, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        _, out, _ = fidelity("compare", *two, "--full", "--wide")
        assert len([line for line in out.splitlines() if line.startswith("words ")]) == 1

    def test_hostile_text_reaches_no_terminal(self, fidelity, workspace):
        base = workspace.recorded("base", [{"id": "[red]a\x1b[31m", "text": "x"}], metrics=["identical"])
        quant = workspace.recorded(
            "quant", [{"id": "b", "text": "x"}, {"id": "[red]a\x1b[31m", "text": "[/red] \x1b[2J"}]
        )
        code, out, _ = fidelity("compare", base, quant)
        assert code == 0
        assert "\x1b" not in out


class TestWrongInput:
    """What, which file and key or prompt, what to do; exit code 2; nothing half-written."""

    def test_recorded_files_that_share_no_prompt(self, fidelity, two, workspace):
        other = workspace.recorded("other", [{"id": "z", "text": "x"}])
        code, out, _ = fidelity("compare", two[0], other)
        assert code == 2
        assert "share no answered prompt" in out

    def test_another_prompt_under_the_same_id(self, fidelity, workspace):
        base = workspace.recorded("base", [{"id": "a", "prompt": "Hi", "text": "x"}], metrics=["identical"])
        quant = workspace.recorded("quant", [{"id": "a", "prompt": "Ho", "text": "x"}])
        code, out, _ = fidelity("compare", base, quant)
        assert code == 2
        assert "quant.jsonl, line 1: the text of prompt 'a' differs from the baseline's" in out

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "contains no recorded outputs"),
            ([{"id": "a"}], "line 1: a recorded output needs 'text'"),
            ([{"id": "a", "text": "x"}] * 2, "line 2: the id 'a' is used twice"),
            ([{"id": "a", "text": "x", "token_ids": "1"}], "'token_ids' must be a list of numbers"),
            ([{"id": "a", "text": "x", "token_ids": [1], "logprobs": [0.0, -1.0]}], "1 token_ids but 2 logprobs"),
        ],
    )
    def test_a_recorded_file_that_is_wrong(self, fidelity, two, workspace, rows, message):
        code, _, error = fidelity("compare", workspace.recorded("wrong", rows), two[1])
        assert code == 2
        assert message in error

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("compare", "none.yaml", "none.yaml"), "none.yaml: can't be read (No such file or directory)"),
            (("generate", "none.yaml"), "name an existing YAML file"),
            (("compare", "base.yaml", "quant.yaml", "--metric", "rogue"), "no metric 'rogue'; did you mean 'rouge'?"),
            (
                ("compare", "base.yaml", "quant.yaml", "--metric", "nli"),
                "the metric 'nli' needs encoder: set it in the",
            ),
            (("compare", "base.yaml", "quant.yaml", "--limit", "0"), "'0' is not a positive whole number"),
            (("compare", "base.yaml", "quant.yaml", "--store", "base.yaml"), "base.yaml: is a file; give --store"),
            (("compare", "base.yaml", "quant.yaml", "--json", "base.yaml/out.json"), "out.json: can't be written"),
            (("compare", "base.yaml", "quant.yaml", "--html", "base.yaml/out.html"), "out.html: can't be written"),
            (("compare", "base.yaml"), "the following arguments are required"),
            ((), "the following arguments are required: COMMAND"),
        ],
    )
    @pytest.mark.usefixtures("two")
    def test_one_line_says_what_and_what_to_do(self, fidelity, arguments, message):
        code, _, error = fidelity(*arguments)
        assert code == 2
        assert message in error
        assert "Traceback" not in error

    def test_a_model_path_that_is_no_model(self, fidelity, workspace):
        workspace.prompts("x")
        code, _, error = fidelity("generate", workspace.baseline(model="."))
        assert code == 2
        assert "not a model: config.json is missing" in error
        assert not workspace.store.exists()

    def test_an_empty_prompt_set(self, fidelity, workspace):
        workspace.file("prompts.jsonl", "\n\n")
        code, _, error = fidelity("generate", workspace.baseline())
        assert code == 2
        assert "contains no prompts" in error

    def test_a_missing_package_names_its_extra(self, fidelity, workspace, monkeypatch):
        from importlib import metadata

        def no_vllm(name):
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr("fidelity.engines.vllm.version", no_vllm)
        workspace.prompts("x")
        code, _, error = fidelity("generate", workspace.baseline())
        assert code == 2
        assert "pip install 'llm-fidelity[vllm]'" in error

    def test_a_full_disk(self, fidelity, two, monkeypatch):
        import errno

        import pyarrow.parquet

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write_table", full)
        code, _, error = fidelity("compare", *two)
        assert code == 2
        assert "No space left on device" in error
        assert "free some space and run the command again" in error

    def test_a_defect_of_ours_is_no_verdict(self, fidelity, two, monkeypatch):
        monkeypatch.setattr("fidelity.pipeline.compare", lambda *_, **__: 1 / 0)
        code, _, error = fidelity("compare", *two)
        assert code == 2
        assert "ZeroDivisionError" in error
        assert "please report it" in error


def test_list_shows_runs_and_comparisons(fidelity, two):
    code, out, _ = fidelity("list")
    assert code == 0
    assert "no finished run" in out
    fidelity("compare", *two)
    code, out, _ = fidelity("list")
    assert code == 0
    assert "base--quant-" in out
    assert "again-" in out


def test_metrics_lists_every_kind_with_its_columns_and_signature(fidelity):
    code, out, _ = fidelity("metrics")
    assert code == 0
    assert "rouge (needs text; cost: cheap, in the default set)\n  rouge1, rouge2, rougeL" in out
    assert "length_ratio: no fixed range, described, not judged" in out
    assert "\n  rouge|tokenizer:unicode|stem:False" in out


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [("rouge", "neither 'identical' nor 'conflicts' was scored."), ("identical", "64 of 64 are worded differently")],
)
def test_the_sentence_names_what_it_lacks(fidelity, workspace, metric, sentence):
    files = [RECORDINGS / f"{name}.jsonl" for name in ("bf16", "w8a8-fp8")]
    code, out, _ = fidelity("compare", *files, "--metric", metric, "--store", workspace.store)
    assert code == 0
    assert sentence in " ".join(out.split())
