"""The child process that holds one vLLM engine."""

import json
import time
from collections.abc import Iterator
from typing import Any

from fidelity.children import vllm_speed
from fidelity.children.answering import ReportProgress, answer
from fidelity.children.describing import counts, fingerprint, ran_as, versions
from fidelity.children.prompting import bos_tokens, prompt_end, prompt_record, tokenized
from fidelity.children.torchao_schemes import torchao_config
from fidelity.children.vllm_config import end_tokens, kv_cache, parallelism
from fidelity.children.vllm_forcing import in_order, number, token_scores
from fidelity.children.vllm_layers import attention_backend, layer_groups

HEARTBEAT_S = 1.0
"""How often a running chunk says how far it is."""


class VllmInProcess:
    """vLLM's `LLM` and what became known of it while it was loaded."""

    def __init__(self, arguments: dict[str, Any], torchao: dict[str, Any] | None) -> None:
        phases = self._phases = vllm_speed.Phases()
        with phases.timed("import", since=vllm_speed.process_started()):
            from vllm import LLM
        with phases.timed("load"):
            self._llm = LLM(**arguments, **(_torchao_arguments(**torchao) if torchao else {}))
        phases.move(vllm_speed.compile_seconds(self._llm), out_of="load", to="compile")
        self._tokenizer = self._llm.get_tokenizer()
        self._context = int(self._llm.llm_engine.model_config.max_model_len)
        self._handed = 0
        """Requests so far: the number of the next one."""
        self.step_seconds = 0.0
        """Spent inside the engine's own steps since the warm-up."""
        self.info = self._describe()
        with phases.timed("warm-up"):
            self._warm_up()
        phases.forget("prefill", "decode", "prefill and decode")
        self.step_seconds = 0.0

    def generate(
        self, rows: list[dict[str, Any]], sampling: dict[str, Any], on_progress: ReportProgress
    ) -> Iterator[dict[str, Any]]:
        """One record per row, in order: all of them are in the engine at once, behind an empty prefix cache."""
        self._llm.reset_prefix_cache()
        tokens = [tokenized(self._tokenizer, row, self._context) for row in rows]
        asked = [(ids, row["seed"]) for row, ids in zip(rows, tokens, strict=True) if not isinstance(ids, str)]
        each = [{**sampling, "seed": seed, "logprobs": 0} for _, seed in asked]
        outputs = iter(sorted(self._run([ids for ids, _ in asked], each, on_progress), key=number))
        for row, ids in zip(rows, tokens, strict=True):
            if isinstance(ids, str):
                yield {"prompt_id": row["id"], "failure": ids}
                continue
            answer = next(outputs).outputs[0]
            yield {
                "prompt_id": row["id"],
                "text": answer.text,
                "token_ids": list(answer.token_ids),
                "logprobs": [
                    step[token].logprob for step, token in zip(answer.logprobs, answer.token_ids, strict=True)
                ],
                "finish_reason": answer.finish_reason,
                **prompt_record(ids),
            }

    def time_alone(
        self, rows: list[dict[str, Any]], requests: list[dict[str, Any]], on_progress: ReportProgress
    ) -> Iterator[dict[str, Any]]:
        """A record per request, see `vllm_speed.answers_alone`: one request at a time, behind an empty prefix cache."""
        prompts = [tokenized(self._tokenizer, row, self._context) for row in rows]
        yield from vllm_speed.answers_alone(self._llm, prompts, requests, on_progress)

    def account(self, on_progress: ReportProgress) -> Iterator[dict[str, Any]]:
        """One record: seconds by phase since the process began, and bytes of weights and KV cache."""
        yield {"phases": self._phases.seconds, **vllm_speed.memory(self._llm)}

    def force(
        self, rows: list[dict[str, Any]], continuations: list[list[int]], top_k: int, on_progress: ReportProgress
    ) -> Iterator[dict[str, Any]]:
        """One record per row, in order: how likely each token of its continuation is; see `answering.Model`.

        All of them are in the engine at once, behind an empty prefix cache, as when they are generated. vLLM adds a
        token of its own, so the context holds one less.
        """
        if (
            top_k < 0
        ):  # a limit on what a server's clients may ask, read with each request: nothing that is loaded changes
            self._llm.llm_engine.model_config.max_logprobs = -1
        self._llm.reset_prefix_cache()
        prompts = [tokenized(self._tokenizer, row, self._context) for row in rows]
        kept = [ids[: self._context - 1 - len(prompt)] for prompt, ids in zip(prompts, continuations, strict=True)]
        asked = [p + ids for p, ids in zip(prompts, kept, strict=True) if not isinstance(p, str)]
        sampling = {"temperature": 0.0, "max_tokens": 1, "detokenize": False, "flat_logprobs": True}
        every = [{**sampling, "prompt_logprobs": top_k}] * len(asked)
        outputs = in_order(self._run(asked, every, on_progress), first=self._handed)
        for row, prompt, ids in zip(rows, prompts, kept, strict=True):
            if isinstance(prompt, str):
                yield {"prompt_id": row["id"], "failure": prompt}
            else:
                yield {"prompt_id": row["id"], **token_scores(next(outputs).prompt_logprobs, ids, top_k)}

    def token_texts(self, ids: list[int], on_progress: ReportProgress) -> Iterator[dict[str, Any]]:
        """One record: how each of these tokens reads by itself."""
        yield {"texts": [self._tokenizer.decode([id_]) for id_ in ids]}

    def _run(
        self, prompts: list[list[int]], sampling: list[dict[str, Any]], on_progress: ReportProgress
    ) -> Iterator[Any]:
        """VLLM's own loop over its steps (what `LLM.generate` does), with a sign of life in between.

        Each prompt has a sampling of its own. Gives the outputs as they finish.
        """
        if not prompts:
            return
        from vllm import SamplingParams

        self._handed += len(prompts)
        params = [SamplingParams(**own) for own in sampling]
        self._llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        engine = self._llm.llm_engine
        finished, tokens, said = 0, 0, time.monotonic()
        while running := engine.get_num_unfinished_requests():
            phase = vllm_speed.next_step(engine)
            began = time.monotonic()
            outputs = engine.step()
            now = time.monotonic()
            self.step_seconds += now - began
            self._phases.add(phase, now - began)
            finished += len(outputs)
            tokens += running
            if now - said > HEARTBEAT_S:
                said = now
                on_progress(finished, tokens)
            yield from outputs

    def _warm_up(self) -> None:
        """One short request, thrown away: the first one pays for lazy initialisation."""
        ids = self._tokenizer.encode("a")
        list(self._run([list(ids)], [{"temperature": 0.0, "max_tokens": 2, "logprobs": 0}], lambda *_: None))

    def _describe(self) -> dict[str, Any]:
        config = self._llm.llm_engine.vllm_config
        layers = self._llm.apply_model(layer_groups)[0]
        template = getattr(self._tokenizer, "chat_template", None)
        notes = [] if template else ["the checkpoint has no chat template: prompts went in as plain text"]
        return {
            "kind": "vllm",
            "mode": "eager" if config.model_config.enforce_eager else "compiled",
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "ran_as": ran_as(layers),
            "attention": self._llm.apply_model(attention_backend)[0],
            "kernels": sorted({group["kernel"] for group in layers if group["kernel"]}),
            "layers": layers,
            "kv_cache": kv_cache(config),
            **counts(layers),
            "context": self._context,
            "tokenizer": fingerprint(self._tokenizer.get_vocab()),
            "chat_template": fingerprint(template) if template else None,
            "prompt_end": prompt_end(self._tokenizer),
            "bos_tokens": bos_tokens(self._tokenizer),
            "end_tokens": end_tokens(config.model_config, self._tokenizer),
            "generation_config": {},  # every request says all of its sampling
            **parallelism(config),
            "versions": versions(
                "torch", "transformers", "compressed-tensors", "torchao", "vllm-gguf-plugin", "vllm-bnb-plugin"
            ),
            "notes": notes,
        }


def _torchao_arguments(scheme: str, group_size: int | None) -> dict[str, Any]:
    """What vLLM takes to quantize linear layers by torchao while it loads them."""
    from torchao.core.config import config_to_dict

    as_json = json.dumps(config_to_dict(torchao_config(scheme, group_size)))
    return {"quantization": "torchao", "hf_overrides": {"quantization_config_dict_json": as_json}}


if __name__ == "__main__":
    answer(VllmInProcess)
