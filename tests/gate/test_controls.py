"""A control is what it claims to be, its floor is plausible, and what is called quantized is quantized."""

import json
import random
import shutil
from types import MappingProxyType

import pytest

from fidelity.errors import ConfigError
from fidelity.gate import Evidence, Gate, Measured, judge, load_gate, real_format
from fidelity.records import Column, PromptValue, Sameness
from tests.conftest import RECORDINGS, ROOT
from tests.manifests import run_manifest

N = 300
VLLM = {"name": "x", "model": "m", "engine": {"kind": "vllm"}}
GATE = Gate(margins={"sts": 0.05})
BF16 = {"checkpoint": {"format": "BF16", "bytes": 100, "weights": "aa"}, "identity": {"model": "original"}}
QUANTIZED = {"checkpoint": {"format": "W4A16-INT4 g64", "bytes": 30, "weights": "bb"}, "identity": {"model": "copy"}}


def values(*numbers):
    return {f"p{n}": PromptValue(numbers[n % len(numbers)], 1.0) for n in range(N)}


def measured(candidate, control, *, better="higher", bounds=(0.0, 1.0), chance=None):
    return Measured(Column("sts", (), better=better, bounds=bounds), candidate, (control,), chance)


def verdict(gate=GATE, *, column=None, base=None, control=None, quant=None, **keys):
    """Of a candidate without any excess, unless a column is given."""
    runs = {
        "baseline_manifest": run_manifest("base", digest="base", prompts=N, **{**BF16, **(base or {})}),
        "control_manifests": (run_manifest("again", digest="again", prompts=N, **{**BF16, **(control or {})}),),
        "candidate_manifest": run_manifest("quant", digest="quant", prompts=N, **{**QUANTIZED, **(quant or {})}),
    }
    column = column or measured(values(0.9), values(0.9))
    return judge(gate, Evidence("quant", tuple(values(1)), {"sts": column}, **runs, **keys))


def vllm(**engine):
    return {"config": {**VLLM, "engine": {"kind": "vllm", **engine}}}


def ran(**engine):
    return {"engine": {"kind": "vllm", "version": "0.26.0", "mode": "compiled", "device": "H100", **engine}}


def real(stored=None, ran_as=None, layers=None, **engine):
    """The format of a checkpoint, and what ran of it."""
    return {"checkpoint": {"format": stored}, **ran(ran_as=ran_as, quantized_layers=layers, **engine)}


class TestClaims:
    """What a control must have in common with its baseline, field by field."""

    def test_the_baseline_again_is_a_control(self):
        assert verdict().outcome == "pass"

    @pytest.mark.parametrize(
        ("base", "control", "expected"),
        [
            ({}, {"identity": {"model": "another"}}, "is a different model than the baseline"),
            (
                {},
                {"checkpoint": {"format": "W8A8-INT8"}},
                "its checkpoint's format is W8A8-INT8",
            ),
            ({}, {"label": "BF16, again"}, "its label is BF16, again (the baseline's: None)"),
            ({}, {"sampling": {"temperature": 0.7}}, "its sampling is "),
            (
                {},
                vllm(options={"quantization": "fp8"}),
                "its engine.options.quantization is fp8 (the baseline's: None)",
            ),
            ({}, vllm(torchao={"scheme": "int8wo"}), "its engine.torchao is "),
            ({}, vllm(options={"max_num_seqs": 4}), "its engine.options.max_num_seqs is 4"),
            ({}, vllm(dtype="float16"), "its engine.dtype is float16"),
            ({}, vllm(env={"VLLM_CPU_INT4_W4A8": "0"}), "its engine.env.VLLM_CPU_INT4_W4A8 is 0"),
            (ran(dtype="bfloat16"), ran(dtype="float16"), "its compute type is float16 (the baseline's: bfloat16)"),
            (ran(quantized_layers=0), ran(quantized_layers=120), "its quantized layers is 120 (the baseline's: 0)"),
            (ran(ran_as="BF16"), ran(ran_as="W8A8-FP8"), "its ran as is W8A8-FP8 (the baseline's: BF16)"),
            (ran(chat_template="a"), ran(chat_template="b"), "its chat template is b (the baseline's: a)"),
            (ran(), ran(mode="eager"), "its mode is eager (the baseline's: compiled)"),
            (ran(model="llama"), ran(model="llama-awq"), "its model is llama-awq (the baseline's: llama)"),
            (
                {},
                {"config": {"name": "x", "model": "m", "revision": "b", "engine": {"kind": "vllm"}}},
                "its revision is b",
            ),
        ],
    )
    def test_the_field_that_differs_is_named(self, base, control, expected):
        judged = verdict(base=base, control=control)
        assert judged.outcome == "inconclusive"
        assert judged.reason.startswith("The control again is no control")
        assert expected in judged.reason

    def test_a_secret_of_the_environment_is_not_shown(self):
        base, control = (vllm(env={"VLLM_API_KEY": value, "MINE": value}) for value in ("one", "two"))
        assert verdict(base=base, control=control).outcome == "pass"

    @pytest.fixture
    def stored(self, workspace, fidelity):
        """Finished runs of the fake vLLM, by name, as YAML files that name them."""

        def stored(name, **engine):
            workspace.prompts(*(f"question {n}" for n in range(40)))
            written = {"kind": "vllm", **engine}
            path = workspace.run(
                name, engine=written, prompts="prompts.jsonl", sampling={"max_tokens": 8}, control="none"
            )
            assert fidelity("generate", path, "--store", f"store-{name}")[0] == 0
            (run,) = (workspace.folder / f"store-{name}" / "runs").glob(f"{name}-*")
            return str(run)

        return stored

    def test_a_stored_control_that_was_quantized_while_loading_is_refused(self, fake_vllm, fidelity, workspace, stored):
        base, again = stored("base"), stored("again", options={"quantization": "compressed-tensors"})
        quant = stored("quant", options={"quantization": "compressed-tensors", "max_num_seqs": 3})
        engine = {"kind": "stored", "path": base}
        files = [
            workspace.run("b", model=None, engine=engine, control={"path": again}, metrics=["identical"]),
            workspace.run("q", model=None, engine={"kind": "stored", "path": quant}),
        ]
        workspace.file("gate.yaml", "margins: {identical: 0.3}")
        code, out, _ = fidelity("compare", *files, "--gate", "gate.yaml")
        assert code == 2
        assert "its engine.options.quantization is compressed-tensors (the baseline's: None)" in out


class TestRecordedControls:
    """Controls that claim to be the baseline again, on the sample recordings; each gave PASS, exit 0, before."""

    METRICS = ("identical", "prefix_agreement", "rouge", "length")
    BASELINE = MappingProxyType({"control": {"path": "again.jsonl"}, "metrics": METRICS})
    GATES = (
        "{rougeL: 0.05}",
        "{rouge1: 0.3, rouge2: 0.3, rougeL: 0.3, length_similarity: 0.3}",
        "{identical: 0.3}",
        "{length_similarity: 0.3}",
        "{prefix_agreement: 0.2}",
    )

    @pytest.fixture
    def compared(self, fidelity, workspace):
        def compared(control, candidate, gate):
            for name in ("bf16", "again", "quant"):
                source = {"bf16": "bf16", "again": control, "quant": candidate}[name]
                rows = source if isinstance(source, list) else self.rows(source)
                workspace.recorded(name, rows, **(self.BASELINE if name == "bf16" else {}))
            workspace.file("gate.yaml", gate)
            files = [workspace.folder / f"{name}.yaml" for name in ("bf16", "quant")]
            return fidelity("compare", *files, "--gate", "gate.yaml")

        return compared

    def rows(self, name):
        return [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]

    def wrong_control(self, how):
        rows = self.rows("bf16")
        if how == "shuffled":
            texts = [{key: row[key] for key in ("text", "token_ids", "logprobs")} for row in rows]
            random.Random(0).shuffle(texts)
            return [{**row, **text} for row, text in zip(rows, texts, strict=True)]
        if how == "empty":
            return [{**row, "text": "", "token_ids": [], "logprobs": []} for row in rows]
        return self.rows(how)

    @pytest.mark.parametrize("margins", GATES)
    @pytest.mark.parametrize("how", ["w4a16", "shuffled", "empty", "fp8-online", "w8a8-int8"])
    def test_none_passes(self, compared, how, margins):
        code, out, _ = compared(self.wrong_control(how), "w8a8-fp8", f"margins: {margins}")
        assert code == 2
        assert "in the lower half between the chance level" in " ".join(out.split())

    @pytest.mark.parametrize("how", ["w4a16", "shuffled", "empty"])
    def test_a_gate_that_accepts_the_floor_still_sees_the_anomaly(self, compared, how):
        code, out, _ = compared(self.wrong_control(how), "w8a8-fp8", "margins: {rougeL: 0.05}\nworst_floor: 0")
        assert code == 2
        assert "Anomalous: the candidate is closer to the baseline than the control is, in rougeL" in " ".join(
            out.split()
        )

    def test_the_candidate_s_own_answers_under_another_name_are_no_control(self, compared):
        code, out, _ = compared("w8a8-fp8", "w8a8-fp8", "margins: {rougeL: 0.05}\nworst_floor: 0")
        assert code == 2
        assert "The control again is no control: it is the candidate itself" in " ".join(out.split())

    def test_an_honest_control_keeps_its_verdicts(self, compared):
        assert compared("bf16-rev", "bf16-serial", "margins: {rougeL: 0.10}")[0] == 0
        assert compared("bf16-rev", "w8a8-fp8", "margins: {rougeL: 0.05}")[0] == 1
        assert compared("bf16-rev", "bf16-eager", "margins: {rougeL: 0.05}\ncompares: engine")[0] == 1


class TestFloor:
    def test_in_the_lower_half_a_line_is_inconclusive_whatever_the_candidate_does(self):
        for candidate in (0.54, 0.2):
            column = measured(values(candidate), values(0.54), chance=0.1)  # the middle is 0.55
            judged = verdict(column=column)
            assert judged.outcome == "inconclusive"
            (line,) = [line for line in judged.lines if line.name == "sts"]
            assert "its floor of 0.540 is in the lower half between the chance level (0.100) and 1" in line.reason
        assert verdict(column=measured(values(0.56), values(0.56), chance=0.1)).outcome == "pass"

    @pytest.mark.parametrize("worst", [0.5, {"sts": 0.5}])
    def test_a_gate_may_accept_it(self, worst):
        gate = Gate(margins={"sts": 0.05}, worst_floor=worst)
        assert verdict(gate, column=measured(values(0.54), values(0.54), chance=0.1)).outcome == "pass"
        assert verdict(gate, column=measured(values(0.2), values(0.54), chance=0.1)).outcome == "fail"
        judged = verdict(gate, column=measured(values(0.49), values(0.49), chance=0.1))
        assert "its floor is 0.490, below the worst_floor of 0.5" in judged.lines[0].reason

    def test_the_gate_may_ask_for_a_better_one_than_half_way(self):
        gate = Gate(margins={"sts": 0.05}, worst_floor=0.95)
        assert verdict(gate, column=measured(values(0.9), values(0.9), chance=0.1)).outcome == "inconclusive"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("worst_floor: {st: 0.5}", "worst_floor: 'st' has no margin and no tail; did you mean 'sts'?"),
            ("worst_floor: 1", "Input should be less than 1"),
            ("worst_floor: .nan", "Input should be"),
        ],
    )
    def test_what_is_wrong_with_it_is_named(self, workspace, text, message):
        with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
            load_gate(workspace.file("gate.yaml", f"margins: {{sts: 0.1}}\n{text}"))

    def test_without_a_chance_level_nothing_is_known_of_it(self):
        assert verdict(column=measured(values(0.2), values(0.2))).outcome == "pass"

    @pytest.mark.parametrize(("better", "candidate", "control"), [("higher", 0.99, 0.8), ("lower", 0.0, 0.2)])
    @pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
    def test_a_candidate_nearer_than_the_control_is_anomalous(self, better, candidate, control, bounds):
        noise = [0.01 * ((n * 7) % 11 - 5) for n in range(N)]
        near, far = (values(*(value + e for e in noise)) for value in (candidate, control))
        if bounds:
            near, far = values(candidate), values(control)
        column = measured(near, far, better=better, bounds=bounds)
        judged = verdict(column=column)
        assert judged.outcome == "inconclusive"
        assert judged.reason.startswith(
            "Anomalous: the candidate is closer to the baseline than the control is, in sts"
        )

    def test_a_little_nearer_is_chance(self):
        # Half of the prompts 0.02 nearer, half 0.02 farther, and a tenth of them nearer still.
        column = measured(values(*[0.92, 0.88] * 5, 0.94), values(0.9))
        assert verdict(column=column).outcome == "pass"


class TestQuantized:
    def test_equal_weights_that_nothing_quantizes_are_the_baseline(self):
        judged = verdict(quant={**BF16, **ran(quantized_layers=0)})
        assert judged.outcome == "inconclusive"
        assert judged.reason == "The candidate is the baseline: quant has its weights, and nothing quantizes them."

    def test_what_differs_instead_is_named_with_it(self):
        judged = verdict(quant={**BF16, **ran(quantized_layers=0, mode="eager")})
        assert judged.reason.endswith("nothing quantizes them. And its mode is eager (the baseline's: compiled).")

    def test_also_where_only_the_hash_of_the_whole_checkpoint_is_known(self):
        older = {"checkpoint": {"format": "BF16", "bytes": 100}, "identity": {"model": "original"}}
        assert "is the baseline" in verdict(base=older, control=older, quant=older).reason

    @pytest.mark.parametrize("kind", ["engine", "kernels", "speculative", "hardware", "provider", "template"])
    def test_where_something_else_is_compared_equal_weights_are_as_they_should_be(self, kind):
        gate = Gate(margins={"sts": 0.05}, compares=kind)
        same = Sameness(texts=True, token_ids=True, logprobs=True)
        assert verdict(gate, quant={**BF16, **ran(quantized_layers=0)}, same=same).outcome == "pass"

    def test_quantization_beside_it_still_has_to_be_there(self):
        gate = Gate(margins={"sts": 0.05}, compares=["engine", "quantization"])
        assert verdict(gate, quant=BF16).outcome == "inconclusive"

    @pytest.mark.parametrize(
        "keys",
        [
            vllm(options={"quantization": "fp8"}),
            vllm(torchao={"scheme": "int8wo"}),
            {
                "config": {
                    "name": "x",
                    "model": "m",
                    "engine": {"kind": "transformers", "options": {"load_in_4bit": True}},
                }
            },
            ran(kv_cache="fp8", dtype="bfloat16") | {"base": ran(kv_cache="bfloat16", dtype="bfloat16")},
        ],
    )
    def test_equal_weights_quantized_while_loading_are_a_candidate(self, keys):
        base = keys.pop("base", None)
        judged = verdict(quant={**BF16, **keys}, base=base, control=base)
        assert judged.outcome == "pass"

    def test_a_checkpoint_with_other_weights_that_is_not_quantized_is_no_quantized_copy(self):
        finetuned = {"checkpoint": {"format": "BF16", "bytes": 100, "weights": "cc"}, "identity": {"model": "other"}}
        quant = {**finetuned, **ran(quantized_layers=0)}
        assert verdict(quant=quant).reason.startswith("The candidate is not quantized: its checkpoint is BF16")
        assert verdict(Gate(margins={"sts": 0.05}, compares="finetune"), quant=quant).outcome == "pass"

    def test_fine_tuning_has_other_weights(self):
        gate = Gate(margins={"sts": 0.05}, compares="finetune")
        assert "is the baseline" in verdict(gate, quant={**BF16, **ran(quantized_layers=0)}).reason

    def test_a_wrong_label_is_an_error_and_the_report_shows_what_ran(self, fidelity, workspace):
        rows = [{"id": f"p{n}", "text": f"answer {n}"} for n in range(60)]
        ran = {"ran_as": "FP32", "quantized_layers": 0}
        workspace.recorded("again", [{**row, "text": row["text"] + "."} for row in rows[:1]] + rows[1:])
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical"])
        workspace.recorded("quant", [*({**row, "text": "x"} for row in rows[:2]), *rows[2:]])
        engine = {"kind": "recorded", "path": "quant.jsonl", "ran": ran}
        quant = workspace.run("quant", model=None, engine=engine, label="W4A16-INT4 g128")
        code, out, _ = fidelity("compare", base, quant, "--json", "out.json")
        assert code == 2
        printed = " ".join(out.split())
        assert "The label is wrong: quant is labeled 'W4A16-INT4 g128', but what ran is FP32, 0 quantized" in printed
        assert "W4A16-INT4 g128 (label)" in printed
        (comparison,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        candidate = comparison["candidate"]
        assert (candidate["label"], candidate["ran_as"]) == ("W4A16-INT4 g128", "FP32")
        gate = workspace.file("gate.yaml", "margins: {identical: 0.3}")
        code, out, _ = fidelity("compare", base, quant, "--gate", gate)
        assert code == 2
        assert "quant: INCONCLUSIVE. Quantization was not active: the engine reports no quantized layer." in out

    def test_real_formats(self):
        keys = {
            "checkpoint": {"format": "W4A16-INT4 g64"},
            **ran(ran_as="W4A8-INT4 g64", kv_cache="fp8", dtype="bfloat16"),
        }
        assert real_format(run_manifest(**keys)) == "W4A16-INT4 g64, ran as W4A8-INT4 g64, KV cache fp8"
        assert real_format(run_manifest(checkpoint={})) is None


def test_the_sample_recordings_keep_their_verdicts(fidelity, workspace):
    """As the README has them: BF16 in other batches passes, FP8 fails, eager kernels are inconclusive."""
    folder = ROOT / "examples" / "recordings"
    files = [folder / f"{name}.yaml" for name in ("bf16", "bf16-serial", "bf16-eager", "w8a8-fp8")]
    gate = ("--gate", folder / "gate.yaml", "--metric", "rouge")
    code, _, _ = fidelity("compare", files[0], files[1], files[3], *gate, "--json", "out.json")
    verdicts = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
    assert code == 1
    assert [c["verdict"]["outcome"] for c in verdicts] == ["pass", "fail"]
    assert fidelity("compare", files[0], files[2], *gate)[0] == 2
    shutil.copy(folder / "gate.yaml", workspace.folder / "engine.yaml")
    with (workspace.folder / "engine.yaml").open("a") as gate:
        gate.write("compares: engine\n")
    assert fidelity("compare", files[0], files[2], "--gate", "engine.yaml", "--metric", "rouge")[0] == 1
