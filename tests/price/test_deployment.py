"""Which format is the cheapest for a deployment: small sheets by hand, and the stored measurement of an H200 again."""

import json
import math
from pathlib import Path
from statistics import mean, stdev

import pytest

from fidelity.errors import ConfigError
from fidelity.price.deployment import Deployment, advise
from fidelity.price.envelope import Stretch, cheapest_along
from fidelity.price.sheets import load_sheet, merged
from fidelity.report.deployment import NO_GATE_JUDGED, sentences
from fidelity.report.price_sheet import RANDOM_WEIGHTS
from fidelity.store.price_sheets import LoadPoint, PricedServer, PriceSheet, gpus_of
from tests.price.test_served import sheet as small_sheet

H200 = Path(__file__).parents[2] / "docs" / "results" / "h200-8b"


def measured():
    """All turns: five of one request at a time, three of rates."""
    return merged([load_sheet([H200 / f"{name}.json"]) for name in ("synchronous", "asynchronous")])


def raw(name):
    return json.loads((H200 / f"{name}.json").read_text())["sheet"]["points"]


def interval(above, below):
    """A ratio over turns with its interval, by hand: the mean and the standard error of the logarithms."""
    student = {2: 12.7062, 3: 4.30265, 5: 2.77645}[len(above)]
    logs = [math.log(a / b) for a, b in zip(above, below, strict=True)]
    half = student * stdev(logs) / math.sqrt(len(logs))
    return [math.exp(mean(logs) + step) for step in (-half, 0, half)]


class TestTheH200ByHand:
    """Three deployments with three answers, each computed again from the points."""

    def answers(self, use_case):
        rows = [p for p in raw("synchronous") if p["use_case"] == use_case]
        return {
            run: [p["answer_mean"] for p in rows if p["run"] == run] for run in dict.fromkeys(p["run"] for p in rows)
        }

    def test_one_user_who_completes_code_fp8_is_certainly_the_cheapest(self):
        seconds = self.answers("code_completion")
        assert min(seconds, key=lambda run: mean(seconds[run])) == "w8a8-fp8"
        advice = advise(measured(), Deployment("code_completion", "sync", price_per_hour=2.5))
        assert [cost.run for cost in advice.costs] == ["w8a8-fp8", "w8a8-int8", "w4a16", "bf16"]
        assert advice.best.cost == pytest.approx(2.5 / 3600 * mean(seconds["w8a8-fp8"]))
        low, middle, high = interval(seconds["w8a8-int8"], seconds["w8a8-fp8"])
        assert low > 1
        over = advice.costs[1].over_cheapest
        assert (over.low, over.value, over.high) == pytest.approx((low, middle, high), rel=1e-4)
        assert not any(cost.as_cheap for cost in advice.costs)
        assert "W8A8-FP8 is the cheapest: × 0.72 (0.71 to 0.72) of BF16's cost" in sentences(advice)[0]

    def test_one_user_who_fixes_code_fp8_is_not_certainly_the_cheapest(self):
        seconds = self.answers("code_fixing")
        assert min(seconds, key=lambda run: mean(seconds[run])) == "w8a8-fp8"
        low, _, high = interval(seconds["w8a8-int8"], seconds["w8a8-fp8"])
        assert low < 1 < high
        advice = advise(measured(), Deployment("code_fixing", "sync"))
        assert advice.best.run == "w8a8-fp8"
        assert [cost.run for cost in advice.costs if cost.as_cheap] == ["w8a8-int8", "w4a16"]
        assert "not certainly before W8A8-INT8" in sentences(advice)[0]

    def test_all_requests_at_once_int8_is_certainly_the_cheapest(self):
        burst = [p for p in raw("asynchronous") if p["rate"] is None and p["use_case"] == "docstring"]
        rates = {
            run: [p["requests_per_s"] for p in burst if p["run"] == run] for run in ("bf16", "w8a8-fp8", "w8a8-int8")
        }
        advice = advise(measured(), Deployment("docstring", "async", 2.5, latency_limit=math.inf))
        assert advice.best.run == max(rates, key=lambda run: mean(rates[run])) == "w8a8-int8"
        low, middle, high = interval(rates["bf16"], rates["w8a8-int8"])
        over = advice.best.over_baseline
        assert (over.low, over.value, over.high) == pytest.approx((low, middle, high), rel=1e-4)
        assert high < 1
        low, _, high = interval(rates["w8a8-int8"], rates["w8a8-fp8"])
        assert low > 1
        assert not any(cost.as_cheap for cost in advice.costs)

    def test_short_answers_are_promised_fp8_answers_most_but_not_certainly(self):
        answered = {run: [] for run in ("bf16", "w8a8-fp8", "w8a8-int8", "w4a16")}
        for run, rates in answered.items():
            for turn in range(3):  # 95% within 1.2 s, between two measured rates each
                points = [p for p in raw("asynchronous") if p["rate"] and p["turn"] == turn and p["run"] == run]
                line = sorted(
                    (p["rate"], p["answer_p95"], p["requests_per_s"]) for p in points if p["use_case"] == "docstring"
                )
                last = next(n for n, (_, p95, _) in enumerate(line) if p95 > 1.2) - 1
                (_, p95, below), (_, beyond, above) = line[last], line[last + 1]
                rates.append(below + (above - below) * (1.2 - p95) / (beyond - p95))
        advice = advise(measured(), Deployment("docstring", "async", latency_limit=1.2))
        seconds = {run: mean(1 / rate for rate in rates) for run, rates in answered.items()}
        assert advice.best.run == min(seconds, key=seconds.get) == "w8a8-fp8"
        assert {cost.run: cost.seconds for cost in advice.costs} == pytest.approx(seconds)
        low, _, high = interval(answered["w8a8-fp8"], answered["w8a8-int8"])
        assert low < 1 < high
        assert "not certainly before W8A8-INT8" in sentences(advice)[0]

    def test_random_weights_are_named_and_no_gate_judged_them(self):
        lines = sentences(advise(measured(), Deployment("rag", "sync")))
        assert RANDOM_WEIGHTS in lines
        assert NO_GATE_JUDGED in lines


def test_whatever_lies_in_the_folder_is_used_and_agrees_with_its_points():
    """For every use case and mode in the folder, later measurements included: the cheapest has the lowest mean cost."""
    whole = load_sheet([H200], gpu="h200")
    assert {"sync", "async"} == {point.mode for point in whole.points}
    for use_case, mode in {(point.use_case, point.mode) for point in whole.points}:
        advice = advise(whole, Deployment(use_case, mode, latency_limit=math.inf))
        points = [p for p in whole.points if (p.use_case, p.mode) == (use_case, mode)]
        cost = {}
        for run in whole.servers:
            own = [p for p in points if p.run == run]
            turns = {p.turn for p in own}
            best = [max(p.requests_per_s for p in own if p.turn == turn) for turn in turns]
            cost[run] = mean(p.answer_mean for p in own) if mode == "sync" else mean(1 / rate for rate in best)
        assert advice.best.run == min(cost, key=cost.get), (use_case, mode)


def test_a_turn_that_several_files_have_counts_once(tmp_path):
    """With twice the turns, the interval would be narrower than what was measured."""
    faster = [point.replace(answer=point.answer * (1 - point.turn / 10)) for point in small_sheet().points]
    once = small_sheet().replace(points=tuple(faster))
    again = once.replace(points=tuple(point.replace(turn=point.turn + 3) for point in once.points))
    assert merged([once, once, again]) == once
    for name in ("a", "copy-of-a"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"sheet": once.model_dump(mode="json")}))
    assert load_sheet([tmp_path, tmp_path / "a.json"]) == once


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("requests_per_s", value) for value in (math.nan, math.inf, -1, 0)),
        *(("answer_p95", value) for value in (math.nan, -3, 0)),
        *(("first_token", value) for value in (None, -1, math.inf)),
        ("turn", -1),
        ("requests", 0),
        ("seconds", 0),
        ("rate", -1),
        ("run", "nobody"),
        ("use_case", "nothing"),
    ],
)
def test_a_point_that_nobody_can_have_measured_is_named(tmp_path, key, value):
    content = {"sheet": small_sheet().model_dump(mode="json")}
    content["sheet"]["points"][1][key] = value
    file = tmp_path / "price.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"price\.json: a damaged sheet") as refused:
        load_sheet([file])
    assert key.replace("_", " ") in str(refused.value).replace("_", " ")
    assert "Value error" not in str(refused.value)


@pytest.mark.parametrize("change", [{"baseline": "nobody"}, {"spread": 2}, {"use_cases": {"rag": (0, 1)}}])
def test_a_sheet_that_contradicts_itself_is_named(tmp_path, change):
    file = tmp_path / "price.json"
    file.write_text(json.dumps({"sheet": {**small_sheet().model_dump(mode="json"), **change}}))
    with pytest.raises(ConfigError, match=r"price\.json: (a damaged sheet|the baseline nobody has no server)"):
        load_sheet([file])


@pytest.mark.parametrize(
    ("option", "value"), [("--price", "inf"), ("--price", "0"), ("--price", "nan"), ("--latency-limit", "0")]
)
def test_a_price_and_a_limit_are_numbers_above_0(fidelity, option, value):
    code, _, error = fidelity("recommend", "--scenario", "rag", "--from", "price.json", option, value)
    assert code == 2
    assert f"argument {option}: '{value}' is not a number" in error


class TestChoosing:
    def test_a_gate_decides_who_may_be_chosen(self):
        advice = advise(small_sheet(), Deployment("rag", "sync"), why_not={"quant": "fail: numbers"})
        assert (advice.best.run, advice.costs[1].why_not) == ("base", "fail: numbers")
        assert "No candidate that is cheaper passes the gate." in sentences(advice)
        advice = advise(small_sheet(), Deployment("rag", "sync"), why_not={"quant": ""})
        assert advice.best.run == "quant"
        assert NO_GATE_JUDGED not in sentences(advice)
        advice = advise(small_sheet(), Deployment("rag", "sync"), why_not={})
        assert advice.costs[1].why_not == "not compared in this store"

    def test_what_was_not_measured_is_refused(self):
        with pytest.raises(ConfigError, match=r"not measured in --mode sync.*rag"):
            advise(small_sheet(), Deployment("chat", "sync"))
        with pytest.raises(ConfigError, match=r"never answered 95% of the requests within 0.5 s"):
            advise(small_sheet(), Deployment("rag", "async", latency_limit=0.5))

    def test_sheets_of_several_files_are_merged_and_their_turns_stay_apart(self, tmp_path):
        points = tuple(point.replace(answer_mean=2 * point.answer_mean) for point in small_sheet().points)
        slower = small_sheet().replace(points=points)
        whole = merged([small_sheet(), slower])
        assert {point.turn for point in whole.points} == {0, 1, 2, 3}
        for name, one in (("a", small_sheet()), ("b", slower)):
            (tmp_path / f"{name}.json").write_text(json.dumps({"sheet": one.model_dump(mode="json")}))
        (tmp_path / "other.json").write_text("[1]")
        assert load_sheet([tmp_path]) == whole
        with pytest.raises(ConfigError, match="other lengths of the same use case"):
            merged([small_sheet(), small_sheet().replace(use_cases={"rag": (1, 2)})])
        with pytest.raises(ConfigError, match="no JSON of fidelity price"):
            load_sheet([tmp_path / "other.json"])
        with pytest.raises(ConfigError, match="nothing was measured on it; there is an unknown device"):
            load_sheet([tmp_path], gpu="H100")

    def test_two_devices_need_a_choice(self, tmp_path):
        with pytest.raises(ConfigError, match="--gpu: the name is empty"):
            load_sheet([tmp_path], gpu=" ")
        for device in ("H100", "H200"):
            servers = {name: one.replace(device=device) for name, one in small_sheet().servers.items()}
            content = {"sheet": small_sheet().replace(servers=servers).model_dump(mode="json")}
            (tmp_path / f"{device}.json").write_text(json.dumps(content))
        with pytest.raises(ConfigError, match="several devices; choose one with --gpu: H100, H200"):
            load_sheet([tmp_path])
        assert load_sheet([tmp_path], gpu="h200").servers["base"].device == "H200"


class TestStretches:
    def test_a_crossing_is_interpolated(self):
        # At 1: 4 and 6; at 3: 4 and 2. They meet halfway.
        a, b = cheapest_along({"a": {1: {0: 4.0}, 3: {0: 4.0}}, "b": {1: {0: 6.0}, 3: {0: 2.0}}})
        assert (a, b) == (Stretch("a", 1, 2.0), Stretch("b", 2.0, 3, sure=False))

    def test_it_is_sure_if_both_sides_are_in_every_turn(self):
        lines = {
            "a": {1: {0: 4.0, 1: 4.1, 2: 4.0}, 3: {0: 4.0, 1: 4.1, 2: 4.0}},
            "b": {1: {0: 6.0, 1: 6.1, 2: 6.0}, 3: {0: 2.0, 1: 2.1, 2: 2.0}},
        }
        assert [stretch.sure for stretch in cheapest_along(lines)] == [True, True]

    def test_three_lines_between_two_places(self):
        lines = {"a": {0: {0: 1.0}, 4: {0: 9.0}}, "b": {0: {0: 2.0}, 4: {0: 6.0}}, "c": {0: {0: 4.0}, 4: {0: 4.0}}}
        # a and b meet at 1 (value 3), b and c at 2 (value 4).
        assert [(s.run, s.start, s.end) for s in cheapest_along(lines)] == [("a", 0, 1), ("b", 1, 2), ("c", 2, 4)]

    def test_nothing_is_extrapolated(self):
        lines = {"a": {1: {0: 1.0}, 2: {0: 1.0}, 9: {0: 9.0}}, "b": {1: {0: 2.0}, 2: {0: 2.0}, math.inf: {0: 1.0}}}
        assert list(cheapest_along(lines)) == [Stretch("a", 1, 2)]
        assert list(cheapest_along({"a": {1: {0: 1.0}}, "b": {1: {0: 2.0}}})) == [Stretch("a", 1, 1)]
        assert list(cheapest_along({"a": {1: {0: 1.0}}, "b": {2: {0: 2.0}}})) == []

    def test_all_at_once_is_a_place_of_its_own(self):
        lines = {
            "a": {1: {0: 1.0}, 2: {0: 1.0}, math.inf: {0: 5.0}},
            "b": {1: {0: 2.0}, 2: {0: 2.0}, math.inf: {0: 4.0}},
        }
        assert list(cheapest_along(lines)) == [Stretch("a", 1, 2), Stretch("b", math.inf, math.inf, sure=False)]


class TestCommand:
    def test_the_answer_and_a_line_for_each_format(self, fidelity):
        code, out, _ = fidelity(
            *("recommend", "--scenario", "rag", "--mode", "sync", "--gpu", "H200", "--price", "2.5", "--from", H200)
        )
        first, *rest = out.strip().split("\n")
        assert code == 0
        assert first.startswith("In rag (1024/128 tokens), one request at a time, on NVIDIA H200, ")
        assert NO_GATE_JUDGED in first
        assert len(rest) == 4

    def test_what_is_missing_is_named(self, fidelity, tmp_path):
        assert "STORE is missing" in fidelity("recommend")[2]
        assert "--scenario needs prices" in fidelity("recommend", "--scenario", "rag")[2]
        assert "no price under load" in fidelity("recommend", tmp_path, "--scenario", "rag")[2]
        assert "no such file or folder" in fidelity("recommend", tmp_path / "x", "--scenario", "rag")[2]

    def test_a_gate_judges_the_candidates_of_the_store(self, fidelity, workspace):
        rows = [{"id": f"p{n}", "text": f"word {n} " * 8} for n in range(60)]
        changed = [{**row, "text": row["text"] if n else "other"} for n, row in enumerate(rows)]
        workspace.recorded("again", rows)
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical"])
        quant = workspace.recorded("quant", changed, label="INT4")
        fidelity("compare", base, quant, "--store", workspace.store)
        (prices,) = (workspace.folder / "prices.json",)
        prices.write_text(json.dumps({"sheet": small_sheet().model_dump(mode="json")}))
        ask = ("recommend", workspace.store, "--scenario", "rag", "--mode", "sync", "--from", prices, "--within")
        strict = workspace.file("strict.yaml", "margins: {identical: 0.0001}")
        code, out, err = fidelity(*ask, strict)
        assert code == 2, err
        assert "only BF16 can be recommended" in out
        assert "W4A16 (0.5 s, cost × 0.50 (0.50 to 0.50)): inconclusive: " in out
        lenient = workspace.file("lenient.yaml", "margins: {identical: 0.4}")
        code, out, err = fidelity(*ask, lenient)
        assert code == 0, out + err
        assert "W4A16 is the cheapest" in out
        assert NO_GATE_JUDGED not in out


def test_a_servers_name_is_used_where_two_have_one_format():
    sheet = small_sheet()
    servers = {"base": sheet.servers["base"], "quant": PricedServer(model="q", format="BF16")}
    same = PriceSheet(**{**dict(sheet), "servers": servers})
    assert "quant is the cheapest" in sentences(advise(same, Deployment("rag", "sync")))[0]
    assert isinstance(same.points[0], LoadPoint)


class TestSeveralSheets:
    """Points are only merged where a name has one model on the same hardware."""

    def sheets(self, tmp_path, **changes):
        first = small_sheet()
        server = first.servers[first.baseline]
        second = first.replace(servers={**first.servers, first.baseline: server.replace(**changes)})
        files = []
        for name, sheet in (("a", first), ("b", second)):
            files.append(tmp_path / f"{name}.json")
            files[-1].write_text(json.dumps({"sheet": sheet.model_dump(mode="json")}))
        return files

    def test_another_model_of_the_same_name_is_refused(self, tmp_path):
        files = self.sheets(tmp_path, model="models/llama-70b-bf16")
        with pytest.raises(ConfigError, match=r"is .* in one price sheet and llama-70b-bf16 in another; give one"):
            load_sheet(files)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"format": "NVFP4"}, "is .* in one price sheet and NVFP4 in another"),
            ({"mode": "eager"}, "is compiled in one price sheet and eager in another"),
            ({"version": "0.30.0"}, "is vLLM .* in one price sheet and vLLM 0.30.0 in another"),
        ],
    )
    def test_so_is_another_format_mode_or_version(self, changes, why):
        whole = small_sheet()
        known = {"mode": "compiled", "version": "0.26.0", "format": "BF16"}
        servers = {run: server.replace(**known) for run, server in whole.servers.items()}
        other = {**servers, whole.baseline: servers[whole.baseline].replace(**changes)}
        with pytest.raises(ConfigError, match=why):
            merged([whole.replace(servers=servers), whole.replace(servers=other)])

    def test_the_same_model_in_another_folder_is_the_same(self, tmp_path):
        baseline = small_sheet().baseline
        model = Path(small_sheet().servers[baseline].model).name
        assert load_sheet(self.sheets(tmp_path, model=f"/elsewhere/{model}")).baseline == baseline

    def test_two_cards_are_other_hardware_than_one(self):
        both = [H200, H200.with_name("h200-70b")]
        with pytest.raises(ConfigError, match=r"several devices; choose one with --gpu: NVIDIA H200, 2 × NVIDIA H200"):
            load_sheet(both, gpu="H200")
        assert load_sheet(both, gpu="nvidia h200").use_cases.keys() == measured().use_cases.keys()
        two = load_sheet(both, gpu="2 × NVIDIA H200")
        assert {server.gpus for server in two.servers.values()} == {2}
        [sentence, *_] = sentences(advise(two, Deployment("rag", "async", price_per_hour=5)))
        assert "on 2 × NVIDIA H200, W8A8-FP8 is the cheapest: × 0.66 (0.64 to 0.67) of BF16's cost" in sentence

    def test_a_candidate_on_other_hardware_is_named(self):
        sheet = measured()
        server = sheet.servers["w8a8-fp8"]
        mixed = {**sheet.servers, "w8a8-fp8": server.replace(options={**server.options, "tensor_parallel_size": 2})}
        lines = sentences(advise(sheet.replace(servers=mixed), Deployment("rag", "sync")))
        assert "on NVIDIA H200, W8A8-FP8 is the cheapest" in lines[0]
        assert "Not on the same hardware: W8A8-FP8 on 2 × NVIDIA H200, at the same price per hour." in lines
        assert not any("hardware" in line for line in sentences(advise(sheet, Deployment("rag", "sync"))))

    def test_a_device_that_is_asked_for_excludes_the_others(self, tmp_path):
        content = json.loads((H200 / "synchronous.json").read_text())
        content["sheet"]["servers"]["w8a8-fp8"]["device"] = "NVIDIA L4"
        (tmp_path / "sheet.json").write_text(json.dumps(content))
        sheet = load_sheet([tmp_path / "sheet.json"], gpu="H200")
        assert set(sheet.servers) == {"bf16", "w8a8-int8", "w4a16"} == {point.run for point in sheet.points}
        with pytest.raises(ConfigError, match="the baseline bf16 has no server"):
            load_sheet([tmp_path / "sheet.json"], gpu="L4")

    def test_a_baseline_that_was_not_measured_is_named(self):
        sheet = measured()
        rest = tuple(p for p in sheet.points if (p.run, p.use_case) != ("bf16", "rag"))
        for mode in ("sync", "async"):
            with pytest.raises(ConfigError, match=f"rag: the baseline bf16 was not measured in --mode {mode}"):
                advise(sheet.replace(points=rest), Deployment("rag", mode))

    @pytest.mark.parametrize("value", [1e308, 5e-324, math.inf, math.nan, 0, -1])
    @pytest.mark.parametrize("key", ["answer_mean", "requests_per_s"])
    def test_what_no_server_does_is_a_damaged_sheet(self, tmp_path, key, value):
        content = json.loads((H200 / "asynchronous.json").read_text())
        content["sheet"]["points"][0][key] = value
        (tmp_path / "sheet.json").write_text(json.dumps(content))
        with pytest.raises(ConfigError, match=rf"a damaged sheet \(.*points.*{key}"):
            load_sheet([tmp_path / "sheet.json"])


@pytest.mark.parametrize(
    ("size", "gpus"), [(2, 2), ("2", 2), ("x", 1), (-2, 1), (0, 1), (None, 1), ([2], 1), (10**400, 1), ("9" * 5000, 1)]
)
def test_the_number_of_gpus(size, gpus):
    assert gpus_of({"tensor_parallel_size": size}) == gpus
    assert gpus_of({"tensor_parallel_size": size, "pipeline_parallel_size": 2}) == 2 * gpus
