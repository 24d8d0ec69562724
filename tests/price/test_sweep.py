"""`fidelity price --scenarios` from YAML files to tables, with a fake `vllm serve` and a fake load generator."""

import json
import shutil

import pytest

from fidelity.checkpoints import RANDOM_WEIGHTS
from fidelity.store.price_sheets import read_sheets

pytestmark = pytest.mark.usefixtures("fake_vllm")


@pytest.fixture
def price(fidelity, workspace):
    """Prices a baseline that answers 4 requests per second, and a candidate that answers 8."""
    config = json.loads((workspace.folder / "model" / "config.json").read_text())
    (workspace.folder / "model" / "config.json").write_text(json.dumps({**config, RANDOM_WEIGHTS: True}))
    files = [
        workspace.run(f"{name}-{rate}", engine={"kind": "vllm-serve"}) for name, rate in (("base", 4), ("quant", 8))
    ]

    def price(*options, order=files):
        code, out, err = fidelity("price", *order, "--store", workspace.store, "--json", "out.json", *options)
        assert code == 0, err
        return json.loads((workspace.folder / "out.json").read_text()), out, err

    return price


def points(report, mode):
    return [point for point in report["sheet"]["points"] if point["mode"] == mode]


def test_two_servers_two_scenarios_two_turns(price, workspace):
    report, out, err = price("--scenarios", "rag,512/64", "--rates", "1,inf", "--turns", "2", "--price", "3.6")
    assert len(points(report, "sync")) == 2 * 2 * 2  # models, scenarios, turns
    assert {p["rate"] for p in points(report, "async")} == {None, 1.0}
    rows = {(row["run"], row["use_case"], row["mode"]): row for row in report["results"]}
    assert rows["quant-8", "rag", "sync"]["ratio"]["value"] == pytest.approx(0.5)
    assert rows["quant-8", "512/64", "async"]["ratio"]["value"] == pytest.approx(2.0)
    assert rows["quant-8", "512/64", "async"]["cost_per_query"] == pytest.approx(0.001 / 8)
    # 11,520 tokens of cache hold ten requests of 1024 + 128 tokens, and twenty of 512 + 64.
    assert report["concurrent_requests"] == {run: {"rag": 10, "512/64": 20} for run in ("base-4", "quant-8")}
    assert "One request at a time: seconds of an answer" in out
    assert "quant-8: turn 2, 512/64, all at once: 8 requests/s" in err
    (sheet,) = read_sheets(workspace.store)
    assert sheet.model_dump(mode="json") == report["sheet"]


def test_the_json_has_what_was_measured_before_a_server_failed(price, fidelity, workspace):
    broken = workspace.run("broken", engine={"kind": "vllm-serve", "options": {"no_such_option": 1}})
    order = ("base-4.yaml", broken, "--store", workspace.store, "--json", "out.json")
    code, _, err = fidelity("price", *order, "--scenarios", "rag", "--mode", "sync", "--turns", "1")
    assert code != 0
    assert "broken" in err
    report = json.loads((workspace.folder / "out.json").read_text())
    assert [point["run"] for point in points(report, "sync")] == ["base-4"]


def test_random_weights_are_marked_in_the_json_and_in_the_text(price, fidelity, workspace):
    report, out, _ = price("--scenarios", "rag", "--mode", "sync", "--turns", "1")
    assert all(server["random_weights"] for server in report["sheet"]["servers"].values())
    assert "Random weights: price only, never drift." in out
    workspace.prompts("one", "two")
    files = [workspace.run(name, prompts="prompts.jsonl", control="none") for name in ("base", "quant")]
    code, out, err = fidelity("compare", *files, "--metric", "identical", "--store", workspace.store)
    assert code == 0, err
    assert "quant: random weights: price only, never drift" in " ".join(out.split())


class TestAutomaticRates:
    SHARES = (0.5, 1.0, 2.0, 3.0, 4.0)
    """0.125, 0.25, 0.5, 0.75 and 1 times the baseline's four requests per second."""

    def rates(self, report):
        return {
            run: tuple(sorted({p["rate"] for p in points(report, "async") if p["run"] == run and p["rate"]}))
            for run in report["sheet"]["servers"]
        }

    @pytest.mark.parametrize("together", [[], ["--together"]])
    def test_they_are_shares_of_what_the_baseline_answers_whoever_is_measured_first(self, price, together):
        """With `--together`, the second turn begins with the candidate, which answers twice as many."""
        asked = ("--scenarios", "rag", "--mode", "async", "--turns", "1", *together)
        price("--scenarios", "rag", "--mode", "sync", "--turns", "1", *together)  # the next turn begins with the other
        report, _, err = price(*asked)
        order = [line.split(":")[0] for line in err.splitlines() if "turn 2" in line and "all at once" in line]
        assert order == (["quant-8", "base-4"] if together else ["base-4", "quant-8"])
        assert self.rates(report) == {"base-4": self.SHARES, "quant-8": self.SHARES}

    def test_later_turns_repeat_the_rates_of_earlier_ones(self, price):
        price("--scenarios", "rag", "--mode", "async", "--rates", "1.3,inf", "--turns", "1")
        report, _, _ = price("--scenarios", "rag", "--mode", "async", "--turns", "1")
        assert self.rates(report) == {"base-4": (1.3,), "quant-8": (1.3,)}


def test_memory_of_cuda_graphs_is_unknown_where_servers_start_at_the_same_time(price):
    """vLLM takes the difference of free memory, which the other servers change."""
    asked = ("--scenarios", "rag", "--mode", "sync", "--turns", "1")
    report, _, _ = price(*asked)
    assert {s["graphs_gib"] for s in report["sheet"]["servers"].values()} == {0.5}
    assert {s["activations_gib"] for s in report["sheet"]["servers"].values()} == {0.75}
    report, _, _ = price(*asked, "--together")
    assert {s["graphs_gib"] for s in report["sheet"]["servers"].values()} == {None}
    assert {s["weights_gib"] for s in report["sheet"]["servers"].values()} == {1.5}


def test_another_model_of_the_same_name_is_not_added_to_a_sheet(price, fidelity, workspace):
    price("--scenarios", "rag", "--mode", "sync", "--turns", "1")
    (before,) = read_sheets(workspace.store)
    shutil.copytree(workspace.folder / "model", workspace.folder / "larger")
    files = [
        workspace.run(name, engine={"kind": "vllm-serve", "options": options}, model=model)
        for name, model, options in (("base-4", "larger", {}), ("quant-8", "model", {"tensor_parallel_size": 2}))
    ]
    for order, why in (
        ([files[0]], "base-4 was model when it was measured, and is larger now; give the run another name:, or use"),
        (["base-4.yaml", files[1]], "quant-8 was measured with GPUs=1, and has GPUs=2 now; give the run another name:"),
    ):
        workspace.run("base-4", engine={"kind": "vllm-serve"}, model="larger" if len(order) == 1 else "model")
        code, _, err = fidelity("price", *order, "--store", workspace.store, "--scenarios", "rag", "--turns", "1")
        assert code == 2
        assert why in err
        assert "starting vllm serve" not in err
    assert read_sheets(workspace.store) == [before]


def test_dummy_weights_have_the_format_of_their_config(price, workspace):
    folder = workspace.folder / "dummy"
    shutil.copytree(workspace.folder / "model", folder, ignore=shutil.ignore_patterns("*.safetensors"))
    int4 = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}}
    quantization = {"quant_method": "compressed-tensors", "config_groups": {"group_0": int4}, "ignore": ["lm_head"]}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantization}))
    file = workspace.run("int4-8", model="dummy", engine={"kind": "vllm-serve", "options": {"load_format": "dummy"}})
    report, _, _ = price("--scenarios", "rag", "--mode", "sync", "--turns", "1", order=("base-4.yaml", file))
    server = report["sheet"]["servers"]["int4-8"]
    assert (server["format"], server["bytes"], server["random_weights"]) == ("W4A16-INT4 g128", None, True)
