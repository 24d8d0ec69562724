"""The Markdown report, read as GitHub would: rendered by a public renderer."""

import re
from dataclasses import replace
from functools import cached_property

import pytest
from markdown_it import MarkdownIt

from fidelity.comparison.results import ComparisonSet
from fidelity.report import NOT_QUALITY, as_markdown
from fidelity.report.content import format_of
from fidelity.report.markdown import MOST_CHARACTERS, fenced, prose
from fidelity.store.runs import Run
from tests.report.conftest import HOSTILE, line, verdict

OWN_TAGS = {"<details>", "<summary>", "</summary>", "</details>", "<sub>", "</sub>"}


def tokens(text):
    """All of the rendered document's tokens, those inside lines included."""
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        yield token
        yield from token.children or ()


def tables(text):
    """The cells of each table, row by row."""
    rows_of_tables, cell = [], False
    for token in tokens(text):
        if token.type == "table_open":
            rows_of_tables.append([])
        elif token.type == "tr_open":
            rows_of_tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            cell = True
        elif token.type == "inline" and cell:
            rows_of_tables[-1][-1].append(token.content)
            cell = False
    return rows_of_tables


class TestReport:
    def test_the_verdict_comes_first_and_that_drift_is_not_quality_stands_beside_it(self, recordings, verdicts):
        report = as_markdown(recordings, verdicts)
        before_the_first_table = report.partition("### ")[0]
        assert report.startswith("## ❌ fidelity: fail\n\nfail: w8a8-fp8; inconclusive: bf16-eager; pass: bf16-serial.")
        assert NOT_QUALITY in before_the_first_table
        # what failed comes first
        places = [before_the_first_table.index(f"**{name}**") for name in ("w8a8-fp8", "bf16-eager", "bf16-serial")]
        assert places == sorted(places)

    def test_each_gate_line_has_value_floor_excess_bound_and_limit(self, recordings, verdicts):
        fp8 = tables(as_markdown(recordings, verdicts))[0]
        assert fp8[0][1:] == ["Line", "Value", "Floor", "Excess", "Bound", "Limit", "n"]
        # Value and floor are the table's in the terminal: the excess here is made by hand, so it need not fit them.
        assert fp8[1] == ["❌", "rougeL", "0.377", "0.958", "+0.580", "≥ +0.470", "0.050", "64"]
        assert fp8[2] == ["❌", "newly broken json", "25.0%", "", "", "≥ 16.4%", "5.0%", "64"]
        assert fp8[3] == ["❔", "worst 5% of rougeL", "", "", "", "", "0.100", "64"]
        assert fp8[4] == ["✅", "failures", "0.0%", "", "", "", "2.0%", "64"]
        assert fp8[5][:2] == ["❌", "identical"]  # it only warns, so it comes last
        report = as_markdown(recordings, verdicts)
        assert "- **identical** fail (warns only): Because." in report
        assert "- **worst 5% of rougeL** inconclusive: Too few prompts." in report

    def test_the_three_worst_pairs_are_folded_with_a_word_diff(self, recordings, verdicts):
        report = as_markdown(recordings, verdicts)
        fold = report.partition("<details><summary>The 3 worst pairs of w8a8-fp8 by rougeL</summary>")[2]
        fold = fold.partition("</details>")[0]
        # From rouge-score's values of the recordings: the three pairs with the largest c - s in ROUGE-L.
        assert [fold.count(f"**{name}**") for name in ("german-02", "writing-01", "json-06")] == [1, 1, 1]
        assert "Write a haiku about the sea." in fold
        assert "The[- waves of the-] sea[-,-]{+ is+} a[- silent beauty," in fold

    def test_what_was_compared(self, recordings, verdicts):
        *_, compared = tables(as_markdown(recordings, verdicts))
        assert compared[0] == ["", "Run", "Format", "Engine", "Mode", "Device", "Answers"]
        assert [row[1] for row in compared[1:]] == ["bf16", "bf16-rev", "bf16-serial", "bf16-eager", "w8a8-fp8"]
        assert compared[5] == [
            "candidate",
            "w8a8-fp8",
            "W8A8-FP8",
            "vllm 0.26.0",
            "compiled",
            "NVIDIA H100 80GB",
            "64",
        ]

    def test_engines_that_differ_are_named(self, recordings):
        first, *others = recordings.candidates
        manifest = first.run.manifest
        manifest = manifest.replace(engine=replace(manifest.engine, mode="eager", version="0.30"))
        base = manifest.replace(engine=replace(manifest.engine, mode="compiled"), name="bf16")
        result = replace(
            recordings,
            baseline=with_manifest(recordings.baseline, base),
            candidates=(as_run(first, manifest), *others),
        )
        report = as_markdown(result)
        assert (
            "- bf16-serial: its mode is eager (the baseline's: compiled), so quantization may not be the only cause"
            in report
        )
        assert "| baseline | bf16 | BF16 | vllm 0.30 | compiled | NVIDIA H100 80GB | 64 |" in report

    def test_without_a_gate_nothing_is_called_a_pass(self, recordings):
        report = as_markdown(recordings)
        assert report.startswith("## fidelity\n\nNo gate was given, so nothing was judged.")
        assert "pass" not in report.partition("### What was compared")[0].partition("<details>")[0]
        assert [row[0] for row in tables(report)[0][1:3]] == ["failed prompts", "identical"]

    def test_what_could_not_be_compared_makes_the_whole_inconclusive(self, recordings, verdicts):
        result = replace(recordings, not_compared={"w4a16": "the engine died\n@everyone"})
        report = as_markdown(result, {"bf16-serial": verdicts["bf16-serial"]})
        assert report.startswith("## ❔ fidelity: inconclusive")
        assert "❔ **w4a16** not compared: the engine died @\u2060everyone" in report

    def test_one_candidate_gets_its_own_sentence(self, recordings, verdicts):
        result = replace(recordings, candidates=recordings.candidates[-1:])
        report = as_markdown(result, {"w8a8-fp8": verdicts["w8a8-fp8"]})
        assert report.startswith("## ❌ fidelity: fail\n\nrougeL and json are beyond their limits.\n")

    def test_nothing_differs(self, recordings):
        serial = recordings.candidates[0]
        pairs = tuple(replace(pair, candidate=pair.baseline) for pair in serial.pairing.pairs)
        twins = replace(serial.runs)
        twins.__dict__["pairing"] = replace(serial.pairing, pairs=pairs)
        report = as_markdown(replace(recordings, candidates=(replace(serial, runs=twins),)))
        assert "No answer of bf16-serial differs from the baseline's." in report


class TestBound:
    def test_a_large_comparison_fits_and_says_what_is_left_out(self, recordings, verdicts):
        many = [f"w8a8-fp8-{n:03d}" for n in range(120)]
        fp8 = recordings.candidates[-1]
        result = ComparisonSet(
            recordings.baseline,
            recordings.controls,
            tuple(as_run(fp8, fp8.run.manifest.replace(name=name)) for name in many),
            {f"gone-{n}": "x" * 1000 for n in range(100)},
        )
        long = "`|<" * 300
        lines = tuple(line("fail", name=f"column{n}", reason=long, value=1.0, limit=0.1, n=64) for n in range(40))
        report = as_markdown(result, {name: verdict(name, "fail", *lines, reason=long) for name in many})
        assert len(report) < MOST_CHARACTERS
        assert NOT_QUALITY in report
        assert "### What was compared" in report
        assert "Left out for length: " in report
        assert re.search(r"^- and \d+ more$", report, re.M)
        list(tokens(report))

    def test_a_long_answer_is_cut(self, workspace, tmp_path):
        from tests.report.conftest import compared

        base = workspace.recorded("base", [{"id": "a", "text": "word " * 50_000}])
        quant = workspace.recorded("quant", [{"id": "a", "text": " ".join(map(str, range(50_000)))}])
        report = as_markdown(compared(tmp_path / "store", base, quant, metrics=["identical"]))
        assert len(report) < 6_000
        assert "more characters)-]" in report


@pytest.fixture(scope="module")
def report(hostile):
    lines = [line("fail", reason=HOSTILE), line("inconclusive", kind="precondition", name=HOSTILE, reason=HOSTILE)]
    return as_markdown(hostile, {"quant": verdict("quant", "fail", *lines, reason=HOSTILE)})


class TestInert:
    """What a model, a user or an engine wrote is text, and nothing else."""

    def test_there_is_no_html_but_ours(self, report):
        html = [t.content for t in tokens(report) if t.type in ("html_block", "html_inline")]
        assert html
        for content in html:
            tags = {piece.partition(">")[0] for piece in content.split("<")[1:]}
            assert {f"<{tag}>" for tag in tags} <= OWN_TAGS

    def test_there_are_no_links_images_or_headings_but_ours(self, report):
        parsed = list(tokens(report))
        assert not [t for t in parsed if t.type in ("link_open", "image", "hr", "lheading_open")]
        headings = [parsed[n + 1].content for n, t in enumerate(parsed) if t.type == "heading_open"]
        expected = [
            "❌ fidelity: fail",
            "quant compared with base: fail",
            "silent compared with base",
            "What was compared",
            "Notes",
        ]
        assert headings == expected

    def test_generations_stand_in_fences_only(self, report):
        fences = [t.content for t in tokens(report) if t.type == "fence"]
        assert any("<script>window.ran = 'script'</script>" in content for content in fences)
        assert all(t.level == 0 for t in tokens(report) if t.type == "fence")
        # rendered, the fences end correctly: the hostile "</details>" is text, the report's own close what it opened
        rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(report)
        assert rendered.count("<details>") == rendered.count("</details>") > 0
        assert "<script" not in rendered
        assert "<img" not in rendered
        assert "<b>" not in rendered

    def test_nobody_is_mentioned_and_nothing_is_referred_to(self, report):
        prose_only = [t.content for t in tokens(report) if t.type == "text" or t.type == "html_block"]
        for bait in ("@octocat", "#1", "http://", "www.example"):
            assert not [content for content in prose_only if bait in content]

    def test_control_characters_and_marks_of_direction_are_visible(self, report):
        assert not set(report) & {"\x00", "\x1b", "\u202e", "\u200f", "\u2028", "\r"}
        assert "␛[31mred␛[0m NUL ␀ ⟦U+202E⟧gnp.exe⟦U+202C⟧" in report

    def test_a_table_keeps_its_columns(self, report):
        for table in tables(report):
            assert len({len(row) for row in table}) == 1

    def test_a_fence_is_longer_than_any_in_the_text(self):
        assert fenced("a\n`````\nb").startswith("``````text\na\n`````\nb\n``````")
        assert fenced("x" * 250).split("\n")[1:-1] == ["x" * 100, "x" * 100, "x" * 50]

    def test_names_stay_readable(self):
        assert prose("prefix_agreement of w8a8-fp8 (0.42): 5%") == "prefix_agreement of w8a8-fp8 (0.42): 5%"
        assert prose("_x_ `y`") == "&#95;x&#95; &#96;y&#96;"


def with_manifest(run, manifest):
    """The same run under another manifest."""

    class FakeRun(Run):
        @cached_property
        def manifest(self):
            return manifest

    return FakeRun(run.path)


def as_run(scores, manifest):
    """The same scores of a run with another manifest."""
    return replace(scores, runs=replace(scores.runs, other=with_manifest(scores.run, manifest)))


@pytest.mark.parametrize(
    ("stored", "ran", "cache", "expected"),
    [
        ("BF16", "BF16", "bfloat16", "BF16"),
        ("W4A16-INT4 g64", "W4A8-INT4 g64", "bfloat16", "W4A16-INT4 g64, ran as W4A8-INT4 g64"),
        ("BF16", "BF16", "fp8", "BF16, KV cache fp8"),
        ("BF16", None, None, "BF16"),
        (None, None, None, "format unknown"),
    ],
)
def test_what_ran_stands_beside_what_the_checkpoint_is(recordings, stored, ran, cache, expected):
    manifest = recordings.baseline.manifest
    engine = replace(manifest.engine, ran_as=ran, kv_cache=cache, dtype="bfloat16")
    other = manifest.replace(label=None, engine=engine, checkpoint={"format": stored})
    run = with_manifest(recordings.baseline, other)
    assert format_of(run) == expected
