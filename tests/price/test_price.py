"""Ratios, the trade-off, and what is recommended: from measurements that are written down by hand."""

import json
import shutil

import pytest

from fidelity.checkpoints import dissect
from fidelity.comparison.stored import load_comparison
from fidelity.config import load_run
from fidelity.errors import ConfigError
from fidelity.gate import Gate
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.price.measures import ratios_of, values_of
from fidelity.price.pareto import drift_and_price
from fidelity.price.recommend import recommend
from fidelity.report import as_html, as_json, as_markdown, price_table, published
from fidelity.report.price import published_table
from fidelity.store.measurements import Measurement, ServedRequests
from fidelity.store.store import Store
from tests.checkpoints.known_layouts import LAYOUTS
from tests.conftest import Silent

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
PROMPTS = [f"p{n}" for n in range(40)]


def answers(changed):
    """Texts of which the first so many are others than the baseline's."""
    return [{"id": p, "text": "other" if n < changed else " ".join([p, *WORDS[1:]])} for n, p in enumerate(PROMPTS)]


def requests(first, gap, kind="prompts", tokens=3):
    """Two repeats of two prompts; the second of each takes twice as long."""
    return [
        {
            "kind": kind,
            "prompt_id": prompt,
            "repeat": repeat,
            "prompt_tokens": 10,
            "seconds": [(first + n * gap) * (1 + repeat) for n in range(tokens)],
        }
        for prompt in PROMPTS[:2]
        for repeat in (0, 1)
    ]


TIMED = {
    "created": "2026-11-22T09:00:00+00:00",
    "asked": {},
    "seconds": 1.0,
    "machine": {"processors": 2, "busy_with_others": None, "load_average": None},
    "failed": {},
}


def measured(*, seconds=10.0, first=0.1, gap=0.01, **more):
    chunks = [{"prompts": 20, "tokens": 400, "seconds": seconds / 2}] * 2
    return {
        "created": "2026-11-22T09:00:00+00:00",
        "prompts": 40,
        "tokens": 800,
        "seconds": seconds,
        "chunks": chunks,
        "latency": {**TIMED, "requests": requests(first, gap)},
        **more,
    }


@pytest.fixture
def compared(workspace):
    """A baseline with a control, and candidates with as many other answers and such measurements."""

    def make(base=None, **candidates):
        workspace.recorded("control", answers(0))
        paths = [workspace.recorded("base", answers(0), control={"path": "control.jsonl"})]
        paths += [workspace.recorded(name, answers(changed)) for name, (changed, _) in candidates.items()]
        baseline, *others = [load_run(path) for path in paths]
        store = Store(workspace.store)
        kinds = [metric_of_kind("identical")]
        result = compare(ComparisonRequest(baseline, others, kinds), store=store, listener=Silent())
        for run in (result.baseline, *(scores.run for scores in result.candidates)):
            about = base if run.name == "base" else candidates[run.name][1]
            if about:
                store.add_measurement(run, Measurement.model_validate(about))
        return result, store

    return make


def runs(result):
    return {run.name: run for run in (result.baseline, *(scores.run for scores in result.candidates))}


def test_values_by_hand(compared):
    result, _ = compared(measured(price_per_hour=3.6), quant=(0, None))
    values = values_of(result.baseline)
    assert values["tokens_per_s"].value == 80
    assert values["requests_per_s"].value == 4
    assert values["cost"].value == pytest.approx(3.6 / 3600 / 4)
    # Each prompt 0.1 s, then 0.2 s: the median of its repeats is 0.15 s, and so is the median over prompts.
    assert values["first_token"].value == pytest.approx(0.15)
    assert values["next_token"].value == pytest.approx(0.015)
    assert values["answer"].value == pytest.approx(0.18)
    assert values["first_token"].p95 == pytest.approx(0.2)
    assert values_of(runs(result)["quant"]) == {}


def test_ratios_are_the_candidates_over_the_baselines(compared):
    result, _ = compared(
        measured(price_per_hour=2.0), quant=(0, measured(seconds=5.0, first=0.05, gap=0.02, price_per_hour=4.0))
    )
    ratios = ratios_of(result.baseline, runs(result)["quant"])
    assert ratios["tokens_per_s"].value == pytest.approx(2)
    assert (ratios["tokens_per_s"].low, ratios["tokens_per_s"].high) == pytest.approx((2, 2))
    assert ratios["first_token"].value == pytest.approx(0.5)
    assert ratios["next_token"].value == pytest.approx(2)
    assert ratios["cost"].value == pytest.approx(1)  # twice the price, half the time
    assert "bytes" not in ratios


def test_memory_is_compared_without_the_caches_reserve_only_if_both_are_known(compared):
    def holding(pss, cache):
        return measured(memory={"pss": pss, "rss": pss + 1, "gpu": None, "kv_cache": cache})

    known, _ = compared(holding(5000, 4000), quant=(0, holding(4500, 4000)))
    assert ratios_of(known.baseline, runs(known)["quant"])["memory"].value == 0.5
    assert values_of(known.baseline)["memory"].value == 1000


def test_memory_is_compared_by_what_both_counted(compared):
    def holding(pss, **more):
        return measured(memory={"pss": pss, "rss": pss + 1, "kv_cache": 4000, **more})

    # Half a gigabyte of libraries was in the page cache in one run and not in the other.
    result, _ = compared(holding(5800, own=5000), quant=(0, holding(4800, own=4500)), older=(0, holding(4900)))
    assert ratios_of(result.baseline, runs(result)["quant"])["memory"].value == 0.5
    assert values_of(runs(result)["quant"])["memory"].value == 500
    assert ratios_of(result.baseline, runs(result)["older"])["memory"].value == 0.5


def test_the_memory_of_a_gpu_is_not_compared_with_a_cpus(compared):
    base = measured(memory={"pss": 5000, "own": 4000})
    result, _ = compared(base, quant=(0, measured(memory={"pss": 2000, "own": 1000, "gpu": 7000})))
    assert "memory" not in ratios_of(result.baseline, runs(result)["quant"])


def test_memory_and_speed_are_given_for_each_gpu_of_an_engine_too(compared):
    def on(gpus, seconds, memory):
        engine = {"kind": "vllm", "version": "0", "mode": "eager", "device": "GPU", "tensor_parallel": gpus}
        return measured(seconds=seconds, memory={"pss": None, "gpu": memory}, engine=engine)

    result, _ = compared(on(4, 10.0, 8000), quant=(0, on(1, 20.0, 1000)), plain=(0, on(4, 5.0, 8000)))
    values, alone = values_of(result.baseline), values_of(runs(result)["quant"])
    assert (values["tokens_per_s"].value, values["tokens_per_s_per_gpu"].value) == (80, 20)
    assert values["memory_per_gpu"].value == 2000
    assert "tokens_per_s_per_gpu" not in alone
    # Half as fast on a quarter of the GPUs: each GPU is twice as fast, and holds half as much.
    ratios = ratios_of(result.baseline, runs(result)["quant"])
    assert (ratios["tokens_per_s"].value, ratios["tokens_per_s_per_gpu"].value) == pytest.approx((0.5, 2.0))
    assert ratios["memory_per_gpu"].value == pytest.approx(0.5)
    assert ratios_of(result.baseline, runs(result)["plain"])["tokens_per_s_per_gpu"].value == pytest.approx(2.0)


def test_a_measurement_from_before_there_were_chunks_still_tells_the_speed(compared):
    old = {"created": "2026-11-20T09:00:00+00:00", "prompts": 40, "tokens": 800, "seconds": 10.0}
    result, _ = compared(old, quant=(0, measured(seconds=5.0)))
    ratio = ratios_of(result.baseline, runs(result)["quant"])["tokens_per_s"]
    assert (ratio.value, ratio.low) == (pytest.approx(2), None)


def test_turns_are_held_against_turns(compared):
    def turns(*speeds):
        return measured(turns=[{"turn": f"a{n}", "values": {"tokens_per_s": v}} for n, v in enumerate(speeds)])

    # The machine slows down to a half, and the ratio stays 2: the runs' own chunks say 1.
    result, _ = compared(turns(100.0, 70.0, 50.0), quant=(0, turns(200.0, 140.0, 100.0)))
    ratio = ratios_of(result.baseline, runs(result)["quant"])["tokens_per_s"]
    assert (ratio.value, ratio.low, ratio.high, ratio.n) == (pytest.approx(2), pytest.approx(2), pytest.approx(2), 3)


class TestDriftAndPrice:
    def test_dominated_is_who_drifts_more_and_takes_more(self, compared):
        result, _ = compared(
            measured(),
            fast=(8, measured(seconds=5.0)),
            worse=(12, measured(seconds=6.0)),
            slow=(2, measured(seconds=9.0)),
            wasteful=(4, measured(seconds=12.0)),
        )
        analysis = drift_and_price(result)
        assert analysis.column == "identical"
        assert {point.run.name: point.dominated_by for point in analysis.points} == {
            "base": (),
            "fast": (),
            "worse": ("fast",),
            "slow": (),
            "wasteful": ("base", "slow"),
        }
        assert [round(point.drift, 3) for point in analysis.points] == [0, 0.2, 0.3, 0.05, 0.1]

    def test_a_measure_that_not_all_have_decides_nothing(self, compared):
        without = {key: value for key, value in measured(seconds=5.0).items() if key != "latency"}
        result, _ = compared(measured(), fast=(8, without), worse=(12, measured(seconds=6.0, first=0.01)))
        assert drift_and_price(result).points[2].dominated_by == ("fast",)

    def test_two_that_are_equal_dominate_nothing(self, compared):
        result, _ = compared(measured(), one=(4, measured(seconds=5.0)), two=(4, measured(seconds=5.0)))
        assert [point.dominated_by for point in drift_and_price(result).points] == [(), (), ()]


class TestReports:
    def test_longer_answers_reduce_the_speed_up(self, compared, workspace):
        long = [{**row, "token_ids": list(range(15))} for row in answers(0)]
        short = [{**row, "token_ids": list(range(10))} for row in answers(0)]
        files = [workspace.recorded("a", short), workspace.recorded("b", long, label="INT4")]
        baseline, other = map(load_run, files)
        store = Store(workspace.store)
        request = ComparisonRequest(baseline, [other], [metric_of_kind("inflation"), metric_of_kind("identical")])
        result = compare(request, store=store, listener=Silent())
        store.add_measurement(result.baseline, Measurement.model_validate(measured()))
        store.add_measurement(result.candidates[0].run, Measurement.model_validate(measured(seconds=5.0)))
        # Twice the tokens per second, 1.5 times the tokens: 1.33 times as fast.
        table = price_table(result, in_short=True)
        assert table.headings == ("tokens/s", "first token", "effective speed-up")
        assert table.rows[0].cells[2] == "-"
        assert table.rows[1].cells[2].startswith("× 1.33")
        assert any(note.startswith("Effective speed-up: ") for note in table.notes)
        assert "| effective speed-up | - | - (× 1.33" in as_markdown(result)
        assert "effective speed-up" in as_html(result)
        ratios = as_json(result)["price"]["runs"][1]["ratios"]
        assert ratios["length_inflation"]["value"] == pytest.approx(1.5)
        assert ratios["effective_speedup"]["value"] == pytest.approx(4 / 3)
        assert ratios["effective_speedup"]["low"] is not None

    def test_every_format_has_the_price(self, compared):
        result, _ = compared(measured(), fast=(8, measured(seconds=5.0)), worse=(12, measured(seconds=6.0)))
        table = price_table(result, in_short=True)
        assert table.headings == ("tokens/s", "first token")
        assert table.rows[0].cells == ("80/s", "150 ms")
        table = price_table(result)
        assert table.headings == ("tokens/s", "requests/s", "first token", "next token", "whole answer")
        assert table.rows[0].cells[2] == "150 ms\n150 ms to 150 ms, p95 200 ms"
        assert table.rows[1].cells[0] == "160/s\n× 2.00, 2.00–2.00"
        assert table.rows[2].dominated_by == ("fast",)
        markdown = as_markdown(result)
        assert "| tokens/s | 80/s | 160/s (× 2.00, 2.00–2.00) | 133/s (× 1.67, 1.67–1.67) |" in markdown
        assert "worse is dominated by fast" in markdown
        page = as_html(result)
        assert 'id="price"' in page
        assert "identical excess against tokens/s (higher is better)" in page
        assert page.count('class="dominated"') == 3  # tokens/s, first token, answer
        data = json.loads(json.dumps(as_json(result), allow_nan=False))
        assert data["price"]["runs"][2]["dominated_by"] == ["fast"]

    def test_it_is_what_the_schema_says(self, compared):
        jsonschema = pytest.importorskip("jsonschema")
        from fidelity.report import json_schema

        result, _ = compared(measured(price_per_hour=2.0), fast=(8, measured(seconds=5.0, price_per_hour=2.0)))
        jsonschema.Draft202012Validator(json_schema()).validate(as_json(result))

    def test_a_sweep_over_rates_has_a_row_for_each(self, compared):
        row = {**dict.fromkeys(ServedRequests.model_fields), "model": "m", "created": "", "requests_per_s": 3.0}
        served = measured(
            serving=[{**row, "request_rate": 4.0, "first_token_ms": 31.54321}, {**row, "tokens_per_s": 900.0}]
        )
        result, _ = compared(served, fast=(8, measured(seconds=5.0)))
        assert "| base | 4 | 3 |  | 31.54 |" in as_markdown(result)
        assert '<td class="n">31.54</td>' in as_html(result)

    def test_where_nothing_was_measured_there_is_none(self, compared):
        result, _ = compared(None, quant=(8, None))
        assert price_table(result) is None
        assert "### Price" not in as_markdown(result)
        assert as_json(result)["price"] is None


def test_comparisons_that_were_read_one_by_one_make_one_plane(compared):
    result, _ = compared(measured(), fast=(8, measured(seconds=5.0)), worse=(12, measured(seconds=6.0)))
    stored = [load_comparison(scores.comparison.path) for scores in result.candidates]
    assert [p.dominated_by for p in drift_and_price(*stored).points] == [
        p.dominated_by for p in drift_and_price(result).points
    ]


def test_what_meta_published_comes_to_metas_own_averages():
    points = [point for point in published() if point.ratios]
    assert len(points) == 4
    # "an average reduction of 56% in model size and 41% in memory, decode 2.5x, prefill 4.2x" (Meta, October 2024)
    means = {name: sum(point.ratios[name] for point in points) / 4 for name in ("bytes", "memory")}
    assert means == {"bytes": pytest.approx(1 - 0.56, abs=0.02), "memory": pytest.approx(1 - 0.41, abs=0.03)}
    assert sum(1 / point.ratios["next_token"] for point in points) / 4 == pytest.approx(2.5, abs=0.05)
    assert sum(1 / point.ratios["first_token[prefill 64]"] for point in points) / 4 == pytest.approx(4.2, abs=0.05)
    assert "first_token" not in points[1].ratios  # Meta gives none for QLoRA


def test_the_command_shows_them_if_asked(fidelity, workspace):
    files = [workspace.recorded(name, [{"id": "a", "text": "x"}]) for name in ("one", "two")]
    asked = ("compare", *files, "--store", workspace.store, "--metric", "identical")
    assert "SpinQuant" not in fidelity(*asked)[1]
    assert "Llama-3.2-1B SpinQuant" in fidelity(*asked, "--published")[1]


def test_what_kurtic_et_al_published_is_a_drift_without_a_price():
    points = [point for point in published() if point.scores]
    assert len(points) == 9
    small = [point.scores for point in points if point.parameters == 8e9]
    large = [point.scores for point in points if point.parameters > 8e9]
    # the averages in the paper's prose
    for of, means in (small, (0.62, 0.46, 0.92, 0.95)), (large, (0.70, 0.56, 0.93, 0.96)):
        for name, mean in zip(("rouge1", "rougeL", "bertscore", "sts"), means, strict=True):
            assert sum(scores[name] for scores in of) / len(of) == pytest.approx(mean, abs=0.0101)
    assert not any(point.ratios for point in points)
    table = published_table("rougeL")
    cells = {row.name: row.cells[table.headings.index("1 - rougeL")] for row in table.rows}
    assert cells["Llama-3.1-405B W8A8-FP8"] == "0.40"
    assert cells["Llama-3.2-1B SpinQuant"] == "-"
    assert "1 - chrf" not in published_table("chrf").headings
    assert "Kurtic" in table.notes[0]
    assert "Kurtic" not in published_table("chrf").notes[0]
    assert [row.name for row in published_table(None).rows] == [p.name for p in published() if p.ratios]


class TestRecommend:
    LENIENT = Gate(margins={"identical": 0.9})
    STRICT = Gate(margins={"identical": 0.01})

    @pytest.fixture
    def store(self, compared):
        small = measured(seconds=9.0, first=0.01, gap=0.001)
        _, store = compared(
            measured(), fast=(2, measured(seconds=5.0)), prompt=(4, small), broken=(40, measured(seconds=1.0))
        )
        return store

    def test_the_one_that_takes_least_of_those_that_pass(self, store):
        assert recommend(store, self.LENIENT, minimise="cost").best.name == "fast"
        recommendation = recommend(store, self.LENIENT, minimise="latency")
        assert (recommendation.best.name, recommendation.best.measure) == ("prompt", "answer")
        assert recommendation.best.ratio.value == pytest.approx(0.1)

    def test_none_passes_and_which_came_closest(self, store):
        recommendation = recommend(store, self.STRICT, minimise="cost")
        assert recommendation.best is None
        assert recommendation.closest.name == "fast"

    def test_what_was_not_measured_can_not_be_minimised(self, store):
        with pytest.raises(ConfigError, match="would pass, but bytes is not known for two runs"):
            recommend(store, self.LENIENT, minimise="bytes")

    def test_the_command(self, store, fidelity, workspace):
        lenient = workspace.file("lenient.yaml", "margins: {identical: 0.9}")
        code, out, _ = fidelity("recommend", store.root, "--within", lenient, "--minimise", "latency")
        assert code == 0
        assert out.startswith("Ship prompt: it passes and takes 0.10 of the time.\n")
        assert "\n  prompt (whole answer × 0.10" in out
        strict = workspace.file("strict.yaml", "margins: {identical: 0.01}")
        code, out, _ = fidelity("recommend", store.root, "--within", strict, "--minimise", "cost")
        assert code == 2  # one is certainly beyond the margin, the others are undecided
        assert out.startswith("Nothing can be shipped yet: no format passes. Of base's candidates, fast came closest.")
        code, _, err = fidelity("recommend", store.root / "nowhere", "--within", strict, "--minimise", "cost")
        assert (code, "no such store" in err) == (2, True)


@pytest.mark.usefixtures("fake_vllm")
def test_bytes_are_those_of_the_files_that_the_index_names(workspace):
    """A consolidated copy once doubled the price; inspect, manifest and price read the same files."""
    workspace.prompts("one")
    folder = LAYOUTS["compressed-tensors W4A16"].write(workspace.folder / "quant")
    index = dict.fromkeys(LAYOUTS["compressed-tensors W4A16"].tensors, "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    config = load_run(workspace.baseline(model=str(folder), control="none"))
    (run,) = generate(config, store=Store(workspace.store), listener=Silent())
    size = (folder / "model.safetensors").stat().st_size
    stored, read = run.manifest.checkpoint, dissect(folder).checkpoint
    assert values_of(run)["bytes"].value == stored.bytes == read.bytes == size
    assert (stored.parameters, stored.format, stored.composition) == (read.parameters, read.format, read.composition)
