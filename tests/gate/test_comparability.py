"""Like is compared with like: what differs besides quantization is named, and is no reason to fail unless declared."""

import json
from xml.etree import ElementTree as ET

import pytest

from fidelity.comparison.stored import load_comparison
from fidelity.config import KINDS
from fidelity.errors import ConfigError
from fidelity.gate import Gate, differences, load_gate
from fidelity.records import PromptTokens
from fidelity.report import as_html
from fidelity.store.store import Store
from tests.engines.fake_server import FakeServer, Reply, text_reply
from tests.manifests import run_manifest

N = 60
VLLM = {"engine": "vllm", "version": "0.26.0", "mode": "compiled", "device": "H100"}


@pytest.fixture
def write(workspace):
    """Writes a recorded run of N prompts with what ran; a candidate's answers are all others than the baseline's."""
    workspace.file("gate.yaml", "margins: {identical: 0.2}")

    def write(name, *, ran=None, row=None, **keys):
        answer = "other" if name == "quant" else "answer"
        rows = [{"id": f"p{n}", "text": f"{answer} {n}", "prompt": f"question {n}", **(row or {})} for n in range(N)]
        workspace.file(f"{name}.jsonl", "\n".join(map(json.dumps, rows)))
        engine = {"kind": "recorded", "path": f"{name}.jsonl", "ran": {**VLLM, **(ran or {})}}
        return workspace.run(name, model=None, engine=engine, **keys)

    def pair(baseline, candidate, **keys):
        """The same conditions for baseline and control, others for the candidate."""
        write("again", **baseline)
        base = write("base", control={"path": "again.jsonl"}, metrics=["identical"], **baseline)
        return base, write("quant", **candidate, **keys)

    return pair


ROWS = {
    "chat template": ({"ran": {"chat_template": "a"}}, {"ran": {"chat_template": "b"}}, "template"),
    "double BOS": ({"row": {"prompt_tokens": 12}}, {"row": {"prompt_tokens": 13}}, "template"),
    "prompt token ids": ({"row": {"prompt_token_ids": [1, 2]}}, {"row": {"prompt_token_ids": [2, 1]}}, "template"),
    "end-of-answer ids": ({"ran": {"end_tokens": [2]}}, {"ran": {"end_tokens": [2, 7]}}, "template"),
    "BF16 against FP16": ({"ran": {"dtype": "bfloat16"}}, {"ran": {"dtype": "float16"}}, "kernels"),
    "FP16 by its format": ({"ran": {"ran_as": "BF16"}}, {"ran": {"ran_as": "FP16"}}, "kernels"),
    "tensor parallel": ({"ran": {"tensor_parallel": 1}}, {"ran": {"tensor_parallel": 2}}, "hardware"),
    "pipeline parallel": ({"ran": {"pipeline_parallel": 1}}, {"ran": {"pipeline_parallel": 4}}, "hardware"),
    "attention backend": ({"ran": {"attention": "FLASH_ATTN"}}, {"ran": {"attention": "TRITON_ATTN"}}, "kernels"),
    "speculative decoding": ({"ran": {"speculative": "none"}}, {"ran": {"speculative": "ngram"}}, "speculative"),
    "KV cache": ({"ran": {"dtype": "bfloat16", "kv_cache": "bfloat16"}}, {"ran": {"kv_cache": "fp8"}}, "kv_cache"),
    "context": ({"ran": {"context": 4096}}, {"ran": {"context": 512}}, "engine"),
    "kernel variable": (
        {"ran": {"environment": {}}},
        {"ran": {"environment": {"VLLM_MARLIN_INPUT_DTYPE": "fp8"}}},
        "kernels",
    ),
    "engine": ({}, {"ran": {"engine": "llama.cpp"}}, "engine"),
    "version": ({}, {"ran": {"version": "0.25.1"}}, "engine"),
    "mode": ({}, {"ran": {"mode": "eager"}}, "engine"),
    "hardware": ({}, {"ran": {"device": "A100"}}, "hardware"),
}
"""Conditions of the baseline, of the candidate, and what declares that they differ."""


class TestVerdict:
    @pytest.mark.parametrize("row", ROWS)
    def test_a_fail_is_inconclusive_with_its_reason_in_every_report(self, fidelity, workspace, write, row):
        baseline, candidate, kind = ROWS[row]
        base, quant = write(baseline, candidate)
        reports = ("--json", "out.json", "--markdown", "out.md", "--html", "out.html", "--junit", "out.xml")
        code, out, _ = fidelity("compare", base, quant, "--gate", "gate.yaml", *reports)
        assert code == 2
        (comparison,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        assert comparison["verdict"]["outcome"] == "inconclusive"
        (difference,) = comparison["differences"]
        assert difference["kinds"][0] == kind
        assert not difference["declared"]
        named = f"its {difference['field']} is {difference['candidate']} (the baseline's: {difference['baseline']})"
        assert named in " ".join(out.split())
        properties = ET.parse(workspace.folder / "out.xml").iter("property")
        (xml,) = [one.get("value") for one in properties if one.get("name") == "difference"]
        assert named in xml
        for file in ("out.md", "out.html"):
            assert difference["field"].replace("_", "") in (workspace.folder / file).read_text().replace("_", "")

    @pytest.mark.parametrize("row", ROWS)
    def test_under_equal_conditions_it_fails(self, fidelity, write, row):
        baseline, _, _ = ROWS[row]
        assert fidelity("compare", *write(baseline, baseline), "--gate", "gate.yaml")[0] == 1

    @pytest.mark.parametrize("where", ["gate", "candidate"])
    @pytest.mark.parametrize("row", ROWS)
    def test_what_is_declared_may_fail(self, fidelity, workspace, write, row, where):
        baseline, candidate, kind = ROWS[row]
        base, quant = write(baseline, candidate, **({"compares": kind} if where == "candidate" else {}))
        declared = f"compares: [quantization, {kind}]" if where == "gate" else ""
        workspace.file("gate.yaml", f"margins: {{identical: 0.2}}\n{declared}")
        code, out, _ = fidelity("compare", base, quant, "--gate", "gate.yaml")
        assert code == 1
        assert ", as declared" in " ".join(out.split())

    def test_a_difference_keeps_nobody_from_passing(self, fidelity, workspace, write):
        base, quant = write({}, {"ran": {"mode": "eager"}})
        text = (workspace.folder / "base.jsonl").read_text()
        (workspace.folder / "quant.jsonl").write_text(text.replace("answer 1", "b"))
        workspace.file("gate.yaml", "margins: {identical: 0.6}")
        assert fidelity("compare", base, quant, "--gate", "gate.yaml")[0] == 0

    def test_judged_again_from_the_store_the_candidate_s_declaration_still_holds(self, fidelity, workspace, write):
        base, quant = write({}, {"ran": {"mode": "eager"}}, compares="engine")
        assert fidelity("compare", base, quant)[0] == 0
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--quant-*")
        assert load_comparison(path).candidates[0].compares == ("engine",)
        assert fidelity("gate", "check", path, "--gate", "gate.yaml")[0] == 1

    def test_a_declaration_does_not_change_a_run(self, fidelity, workspace, write):
        base, quant = write({}, {"ran": {"mode": "eager"}})
        fidelity("compare", base, quant)
        before = {run.id for run in Store(workspace.folder / "fidelity-store").runs()}
        base, quant = write({}, {"ran": {"mode": "eager"}}, compares="engine")
        fidelity("compare", base, quant)
        assert {run.id for run in Store(workspace.folder / "fidelity-store").runs()} == before

    @pytest.mark.parametrize("kinds", ["engine", "kernels", "speculative", "hardware", "provider", "template"])
    def test_equal_outputs_pass_where_quantization_is_not_compared(self, fidelity, workspace, write, kinds):
        base, quant = write({}, {"ran": {"version": "0.32.0"}})
        (workspace.folder / "quant.jsonl").write_text((workspace.folder / "base.jsonl").read_text())
        assert fidelity("compare", base, quant, "--gate", "gate.yaml")[0] == 2
        workspace.file("gate.yaml", f"margins: {{identical: 0.2}}\ncompares: {kinds}")
        assert fidelity("compare", base, quant, "--gate", "gate.yaml")[0] == 0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("compares: engin", "compares: unknown kind 'engin'; did you mean 'engine'?"),
            ("compares: [engine, 3]", "compares: unknown kind 3; choose from quantization, engine"),
            ("compares: {engine: true}", "compares: expected a list"),
        ],
    )
    def test_a_wrong_declaration_is_refused(self, workspace, text, message):
        with pytest.raises(ConfigError, match=message):
            load_gate(workspace.file("gate.yaml", f"margins: {{sts: 0.1}}\n{text}"))

    def test_a_baseline_declares_nothing(self, fidelity, workspace, write):
        base, quant = write({}, {})
        base.write_text(json.dumps({**json.loads(base.read_text()), "compares": "engine"}))
        code, _, error = fidelity("compare", base, quant)
        assert code == 2
        assert "base: 'compares' belongs in a candidate's YAML or in the gate; remove it here" in error

    def test_one_or_a_list(self):
        assert Gate(margins={"sts": 0.1}, compares="engine").compares == ("engine",)
        assert Gate(margins={"sts": 0.1}, compares=list(KINDS)).compares == KINDS


class TestDifferences:
    """By manifests alone."""

    def fields(self, baseline, candidate, prompts=None, declared=("quantization",)):
        differing = differences(
            run_manifest("base", **baseline), run_manifest("quant", **candidate), prompts, declared=declared
        )
        return [difference.field for difference in differing]

    def vllm(self, options=None, **engine):
        return {"config": {"name": "x", "model": "m", "engine": {"kind": "vllm", "options": options or {}, **engine}}}

    @pytest.mark.parametrize(
        ("baseline", "candidate", "fields"),
        [
            ({}, {"tensor_parallel_size": 2}, ["tensor-parallel size"]),
            ({"tensor_parallel_size": 1}, {}, []),
            ({}, {"speculative_config": {"method": "ngram", "num_speculative_tokens": 4}}, ["speculative decoding"]),
            ({}, {"chat_template": "other.jinja"}, ["option chat_template"]),
            ({}, {"rope_scaling": {"factor": 2}}, ["option rope_scaling"]),
            ({"gpu_memory_utilization": 0.9}, {"gpu_memory_utilization": 0.5, "max_num_seqs": 8}, []),
            ({}, {"quantization": "fp8", "load_format": "bitsandbytes"}, []),
            ({"hf_token": "secret"}, {"hf_token": "another"}, []),
        ],
    )
    def test_options_in_manifests_of_any_age(self, baseline, candidate, fields):
        assert self.fields(self.vllm(baseline), self.vllm(candidate)) == fields

    def test_variables_in_manifests_of_older_versions(self):
        baseline = {**self.vllm(), "identity": {"ambient": {"VLLM_API_KEY": "one", "VLLM_LOGGING_LEVEL": "INFO"}}}
        candidate = {**self.vllm(env={"VLLM_CPU_INT4_W4A8": "0"}), "identity": {"ambient": {"VLLM_API_KEY": "two"}}}
        assert self.fields(baseline, candidate) == ["VLLM_CPU_INT4_W4A8"]

    def engine(self, **engine):
        return {"engine": {"kind": "vllm", "version": "0.26.0", "mode": "compiled", "device": "H100", **engine}}

    def test_what_was_not_recorded_is_no_difference(self):
        known = self.engine(chat_template="a", attention="FLASH_ATTN", dtype="bfloat16", end_tokens=[2], bos_tokens=1)
        assert self.fields(known, self.engine()) == self.fields(self.engine(), known) == []

    def test_templates_that_make_the_same_prompts_are_alike(self):
        baseline, candidate = self.engine(chat_template="a"), self.engine(chat_template="b")
        assert self.fields(baseline, candidate) == ["chat template"]
        assert self.fields(baseline, candidate, PromptTokens(pairs=3, known=3, hashed=3, differing=0)) == []
        assert self.fields(baseline, candidate, PromptTokens(pairs=3, known=3, hashed=0, differing=0)) == [
            "chat template"
        ]
        changed = PromptTokens(pairs=3, known=3, hashed=3, differing=2, example="p0", baseline_tokens=4, other_tokens=5)
        assert self.fields(baseline, candidate, changed) == ["chat template", "prompt"]

    def test_another_context_matters_where_it_may_have_cut_an_answer(self):
        runs = [{**self.engine(context=size), "sampling": {"max_tokens": 256}} for size in (4096, 512)]
        for longest, fields in ((100, []), (300, ["context in tokens"]), (None, [])):
            manifests = [run_manifest(**run) for run in runs]
            counted = [m.replace(counts=m.counts.replace(longest_prompt=longest)) for m in manifests]
            assert [d.field for d in differences(*counted, declared=("quantization",))] == fields

    def test_a_kv_cache_that_the_checkpoint_asks_for_belongs_to_its_format(self):
        baseline = self.engine(dtype="bfloat16", kv_cache="bfloat16")
        candidate = self.engine(dtype="bfloat16", kv_cache="fp8", attention="FLASHINFER")
        assert self.fields(baseline, candidate) == ["KV cache"]
        assert self.fields(baseline, {**candidate, "checkpoint": {"kv_cache": "FP8"}}) == []

    def test_a_kv_cache_in_the_compute_type_is_no_difference_of_its_own(self):
        baseline = self.engine(dtype="bfloat16", kv_cache="bfloat16")
        assert self.fields(baseline, self.engine(dtype="float16", kv_cache="float16")) == ["compute type"]

    def test_an_attention_backend_that_follows_from_another_difference_is_not_named(self):
        baseline, candidate = self.engine(attention="FLASH_ATTN"), self.engine(attention="sdpa", device="CPU")
        assert self.fields(baseline, candidate) == ["hardware"]

    def test_end_tokens_as_ids_and_as_texts_can_t_be_compared(self):
        assert self.fields(self.engine(end_tokens=[2]), self.engine(end_tokens=["</s>"])) == []
        assert self.fields(self.engine(end_tokens=[2, 7]), self.engine(end_tokens=[7, 2])) == []

    def test_many_end_tokens_are_shortened(self):
        few, many = (run_manifest(**self.engine(end_tokens=tokens)) for tokens in ([2], list(range(20_000))))
        (differing,) = differences(few, many)
        assert differing.sentence == "set of end tokens is 0, 1, 2, 3, 4, 5, 6, 7 and 19992 more (the baseline's: 2)"

    def test_quantization_that_is_not_what_is_compared_is_a_difference(self):
        baseline, candidate = {"checkpoint": {"format": "BF16"}}, {"checkpoint": {"format": "W4A16-INT4 g64"}}
        assert self.fields(baseline, candidate) == []
        assert self.fields(baseline, candidate, declared=("engine",)) == ["format"]

    def test_other_weights_are_a_difference_where_engines_are_compared(self):
        baseline, candidate = ({"checkpoint": {"format": "BF16", "weights": name * 32}} for name in ("a", "b"))
        assert self.fields(baseline, candidate, declared=("engine",)) == ["hash of the weights"]
        assert self.fields(baseline, candidate, declared=("engine", "quantization")) == []

    def test_providers_are_compared_as_a_whole(self):
        baseline, candidate = ({"identity": {"at": place}} for place in ("a.example/v1", "b.example/v1"))
        candidate |= self.engine(mode="eager")
        differing = differences(run_manifest(**baseline), run_manifest(**candidate), declared=("provider",))
        assert [(d.field, d.declared) for d in differing] == [("mode", True), ("server", True)]


class TestServers:
    """As in a public report: a server that applies another template, or its BOS token twice."""

    def server(self, template, more):
        def answer(request):
            words = len(request.text.split())
            text = f"It is {request.text}." if not more else f"Brief: {request.text}"
            return Reply({**text_reply(text).body, "usage": {"prompt_tokens": 8 + words + more}})

        server = FakeServer(answer, models=Reply({"data": [{"id": "m", "owned_by": "llamacpp"}]}))
        server.beside["/props"] = Reply({"build_info": "b1", "chat_template": template})
        return server

    @pytest.mark.parametrize(
        ("template", "more", "fields"),
        [
            ("{{bos}}{{bos}}U", 1, {"chat template", "prompt"}),
            ("{{bos}}U", 1, {"prompt"}),
            ("other", 7, {"chat template", "prompt"}),
        ],
    )
    def test_another_template_or_a_double_bos(self, fidelity, workspace, quick_retries, template, more, fields):
        workspace.prompts(*(f"question {n}" for n in range(12)))
        workspace.file("gate.yaml", "margins: {identical: 0.3}")
        with self.server("{{bos}}U", 0) as one, self.server(template, more) as other:
            engines = ({"kind": "openai", "base_url": server.url} for server in (one, other))
            base = workspace.baseline(model=None, engine=next(engines), kl="none")
            quant = workspace.run("quant", model=None, engine=next(engines))
            code, out, _ = fidelity("compare", base, quant, "--gate", "gate.yaml", "--json", "out.json")
        (comparison,) = json.loads((workspace.folder / "out.json").read_text())["comparisons"]
        assert (code, {d["field"] for d in comparison["differences"]}) == (2, fields)
        assert "its prompt is" in " ".join(out.split())


def test_the_html_report_names_a_difference_that_a_store_holds(fidelity, workspace, write):
    base, quant = write({}, {"ran": {"mode": "eager"}})
    fidelity("compare", base, quant)
    (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--quant-*")
    assert "its mode is eager (the baseline&#x27;s: compiled)" in as_html(load_comparison(path))
