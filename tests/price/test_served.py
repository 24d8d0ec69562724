"""The results of a price sheet, by hand."""

import pytest

from fidelity.config import RunConfig
from fidelity.engines.load_generator import Load, bench_arguments
from fidelity.errors import ConfigError
from fidelity.price.served import as_json, capacities, concurrent_requests, limit_of, results
from fidelity.price.sweep import servable, use_cases_of
from fidelity.store.price_sheets import LoadPoint, PricedServer, PriceSheet


def point(run, mode, turn, *, rate=None, answered=1.0, answer=1.0, p95=1.0):
    return LoadPoint(
        run=run,
        use_case="rag",
        mode=mode,
        rate=rate,
        turn=turn,
        requests=8,
        seconds=8.0,
        requests_per_s=answered,
        tokens_per_s=128 * answered,
        first_token=0.1,
        next_token=0.01,
        answer=answer,
        answer_mean=answer,
        answer_p95=p95,
    )


def sheet():
    points = [
        *(point("base", "sync", turn, answer=1.0) for turn in (0, 1)),
        *(point("quant", "sync", turn, answer=0.5) for turn in (0, 1)),
        point("base", "async", 0, rate=1.0, answered=1.0, p95=1.0),
        point("base", "async", 0, rate=4.0, answered=3.0, p95=5.0),
        point("quant", "async", 0, rate=1.0, answered=1.0, p95=0.5),
        point("quant", "async", 0, rate=4.0, answered=4.0, p95=2.0),
        point("quant", "async", 0, rate=None, answered=6.0, p95=9.0),
    ]
    servers = {
        "base": PricedServer(model="b", format="BF16", kv_tokens=11_520),
        "quant": PricedServer(model="q", format="W4A16"),
    }
    return PriceSheet(
        baseline="base",
        created="2026-11-28T00:00:00+00:00",
        servers=servers,
        use_cases={"rag": (1024, 128)},
        spread=0.5,
        points=points,
    )


def test_throughput_at_a_limit_is_interpolated_in_the_95th_percentile():
    # Base: 1/s at 1 s, 3/s at 5 s; at the limit of 3 s it is halfway. Quant: from 4/s at 2 s to 6/s at 9 s, a seventh.
    assert capacities(sheet(), "base", "rag", limit=3.0) == {0: 2.0}
    assert capacities(sheet(), "quant", "rag", limit=3.0)[0] == pytest.approx(4 + 2 / 7)


def test_no_throughput_where_the_lowest_rate_is_beyond_the_limit():
    assert capacities(sheet(), "base", "rag", limit=0.5) == {}


def test_the_default_limit_is_three_answers_of_the_baseline_alone():
    assert limit_of(sheet(), "rag") == 3.0
    assert limit_of(sheet(), "rag", 0.7) == 0.7


def test_ratios_and_costs():
    rows = {(row.run, row.mode): row for row in results(sheet(), price_per_hour=3600.0)}
    assert rows["quant", "sync"].ratio.value == pytest.approx(0.5)
    assert rows["base", "sync"].ratio is None
    assert rows["base", "sync"].cost == pytest.approx(1.0)  # a second of a machine that costs 1 per second
    assert rows["quant", "sync"].cost == pytest.approx(0.5)
    assert rows["base", "async"].cost == pytest.approx(0.5)  # two queries a second
    assert rows["quant", "async"].ratio.value == pytest.approx((4 + 2 / 7) / 2)
    assert rows["quant", "async"].ratio.low is None  # a single turn has no interval


def test_requests_that_fit_are_those_of_full_length():
    assert concurrent_requests(sheet()) == {"base": {"rag": 10}}


def test_the_sheet_survives_json():
    content = as_json(sheet())
    assert PriceSheet.model_validate(content["sheet"]) == sheet()
    assert content["latency_limits"] == {"rag": 3.0}


def test_use_cases():
    assert use_cases_of(["chat", "64/16"]) == {"multi_turn_chat": (512, 256), "64/16": (64, 16)}
    with pytest.raises(ConfigError, match=r"no such use case.*'rag'"):
        use_cases_of(["ragg"])
    with pytest.raises(ConfigError, match="no such use case"):
        use_cases_of(["0/16"])
    with pytest.raises(ConfigError, match=r"^--scenario ragg: no such use case") as wrong:
        use_cases_of(["ragg"], option="--scenario")
    assert "'all'" not in str(wrong.value)


def test_what_vllm_cannot_serve_is_refused():
    settings = {"name": "x", "model": "m", "engine": {"kind": "vllm", "torchao": {"scheme": "int8wo"}}}
    with pytest.raises(ConfigError, match="without torchao"):
        servable(RunConfig.model_validate(settings))
    settings["engine"] = {"kind": "vllm", "max_model_len": 64, "options": {"enforce_eager": True}}
    engine = servable(RunConfig.model_validate(settings))
    assert (engine.kind, engine.max_model_len, engine.options) == ("vllm-serve", 64, {"enforce_eager": True})


def test_the_load_generators_arguments(tmp_path):
    load = Load(1024, 128, 40, rate=2.5, spread=0.5, seed=3)
    arguments = bench_arguments(load, address="http://127.0.0.1:1", model="m", tokenizer=tmp_path)
    assert {"--request-rate=2.5", "--random-range-ratio=0.5", "--num-prompts=40", "--ignore-eos"} <= set(arguments)
    assert not any(word.startswith("--max-concurrency") for word in arguments)
    alone = bench_arguments(Load(8, 8, 1, at_once=1), address="a", model="m", tokenizer=tmp_path)
    assert {"--max-concurrency=1", "--request-rate=inf"} <= set(alone)


def test_memory_is_that_of_each_gpu_where_a_server_has_several():
    from fidelity.report.price_sheet import tables

    one = sheet()
    servers = {
        name: s.replace(kv_tokens=9_999_999, options={"tensor_parallel_size": 2}) for name, s in one.servers.items()
    }
    *_, alone = tables(one.replace(servers={name: s.replace(options={}) for name, s in servers.items()}))
    *_, parallel = tables(one.replace(servers=servers))
    assert (alone.columns[0].header, parallel.columns[0].header) == ("memory of the device", "memory of each GPU")
    assert "9,999,999" in list(parallel.columns[1].cells)
