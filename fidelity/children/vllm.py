"""The child process that holds one vLLM engine."""

import json
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from fidelity.children import vllm_hidden_states, vllm_speed
from fidelity.children.answering import ReportProgress, answer
from fidelity.children.describing import counts, ran_as, versions
from fidelity.children.prompting import prompt_record, tokenized, tokenizer_record
from fidelity.children.torchao_schemes import torchao_config
from fidelity.children.vllm_config import end_tokens, kv_cache, on_cpu, parallelism
from fidelity.children.vllm_layers import attention_backend, layer_groups, of_all_stages
from fidelity.children.vllm_token_scores import in_order, number, token_scores
from fidelity.children.vllm_tool_calls import ToolCallReader
from fidelity.children.wire import AloneRequest, JsonRecord, PromptRow, SampledRow, SamplingFields, TorchAOFields

HEARTBEAT_S = 1.0
"""Seconds between progress reports."""


class VllmInProcess:
    """vLLM's `LLM`, and the engine's properties that are known after loading."""

    def __init__(
        self, arguments: JsonRecord, torchao: TorchAOFields | None, tool_call_parser: str | None = None
    ) -> None:
        phases = self._phases = vllm_speed.Phases()
        with phases.timed("import", since=vllm_speed.process_started()):
            from vllm import LLM
        with phases.timed("load"):
            self._llm = LLM(**arguments, **(_torchao_arguments(**torchao) if torchao else {}))
        phases.move(vllm_speed.compile_seconds(self._llm), out_of="load", to="compile")
        self._tokenizer = self._llm.get_tokenizer()
        self._tool_calls = ToolCallReader(tool_call_parser, self._tokenizer) if tool_call_parser else None
        self._context = int(self._llm.llm_engine.model_config.max_model_len)
        self._seats = int(self._llm.llm_engine.vllm_config.scheduler_config.max_num_seqs)
        self._on_cpu = on_cpu(self._llm.llm_engine.vllm_config)
        self._handed = 0
        """The number of requests so far, which numbers the next one."""
        self.step_seconds = 0.0
        """Seconds spent in the engine's own steps since the warm-up."""
        self.info = self._describe()
        with phases.timed("warm-up"):
            self._warm_up()
        phases.forget("prefill", "decode", "prefill and decode")
        self.step_seconds = 0.0

    def generate(
        self, rows: list[SampledRow], sampling: SamplingFields, on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """Yield one record per row, in order. All rows are in the engine at once, with an empty prefix cache."""
        self._llm.reset_prefix_cache()
        tokens = [tokenized(self._tokenizer, row, self._context) for row in rows]
        asked = [(ids, row) for row, ids in zip(rows, tokens, strict=True) if not isinstance(ids, str)]
        each = [{**sampling, "seed": row["seed"], "logprobs": 0, **self._decoding(row)} for _, row in asked]
        outputs = iter(sorted(self._run([ids for ids, _ in asked], each, on_progress), key=number))
        for row, ids in zip(rows, tokens, strict=True):
            if isinstance(ids, str):
                yield {"prompt_id": row["id"], "failure": ids}
                continue
            yield {**self._generation(row, next(outputs).outputs[0]), **prompt_record(ids)}

    def stream(
        self,
        rows: list[SampledRow],
        sampling: SamplingFields,
        at_once: int | None,
        share: float,
        ramp: list[float],
        logprobs_of: int,
        on_progress: ReportProgress,
    ) -> Iterator[JsonRecord]:
        """Yield one record per row with its `place` when it finishes (continuous batching).

        Args:
            rows: The rows, admitted in this order.
            sampling: The sampling parameters.
            at_once: The maximum number of rows in the engine at once; None for its limit (`max_num_seqs`).
            share: The share of these slots to use, if there are more rows than slots; on a CPU, of the rows too.
            ramp: The slots in use after each of the first steps, as rising shares. Afterwards a row is admitted
                whenever another one finishes.
            logprobs_of: For how many rows, evenly spaced, to compute each token's log-probability, which slows down
                a fast GPU.
            on_progress: Called about every second.
        """
        self._llm.reset_prefix_cache()
        engine = self._llm.llm_engine
        slots = at_once or self._seats
        seats = len(rows) if len(rows) <= slots and not self._on_cpu else math.ceil(share * min(slots, len(rows)))
        with_logprobs = set(range(0, len(rows), -(-len(rows) // logprobs_of))) if logprobs_of else ()
        limits = [math.ceil(level * seats) for level in ramp]
        waiting, running = deque(range(len(rows))), dict[str, tuple[int, list[int]]]()
        finished, tokens, last_report = 0, 0, time.monotonic()
        try:
            while running or waiting:
                limit = limits.pop(0) if limits else seats
                while waiting and len(running) < limit:
                    place = waiting.popleft()
                    ids = tokenized(self._tokenizer, rows[place], self._context)
                    if isinstance(ids, str):
                        finished += 1
                        yield {"place": place, "prompt_id": rows[place]["id"], "failure": ids}
                        continue
                    own = {**sampling, "seed": rows[place]["seed"], **self._decoding(rows[place])}
                    params = _sampling_params(own, logprobs=place in with_logprobs)
                    name = f"stream-{place}"
                    engine.add_request(name, {"prompt_token_ids": ids}, params)
                    running[name] = place, ids
                if not running:
                    continue
                tokens += len(running)
                for output in self._step():
                    place, ids = running.pop(output.request_id)
                    finished += 1
                    generation = self._generation(rows[place], output.outputs[0])
                    yield {"place": place, **generation, **prompt_record(ids)}
                if time.monotonic() - last_report > HEARTBEAT_S:
                    last_report = time.monotonic()
                    on_progress(finished, tokens)
        finally:
            if running:  # nobody waits for them anymore
                engine.abort_request(list(running))

    def time_alone(
        self, rows: list[PromptRow], requests: list[AloneRequest], on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """Yield a record per request, one at a time, with an empty prefix cache; see `vllm_speed.answers_alone`."""
        prompts = [tokenized(self._tokenizer, row, self._context) for row in rows]
        yield from vllm_speed.answers_alone(self._llm, prompts, requests, on_progress)

    def account(self, on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """Yield one record: seconds by phase since the process started, and bytes of weights and KV cache."""
        yield {"phases": self._phases.seconds, **vllm_speed.memory(self._llm)}

    def score_tokens(
        self,
        rows: list[PromptRow],
        continuations: list[list[int]],
        top_k: int,
        on_progress: ReportProgress,
        exact: bool = False,
    ) -> Iterator[JsonRecord]:
        """Yield one record per row, in order: the scores of its continuation's tokens; see `answering.Model`.

        All rows are in the engine at once, with an empty prefix cache, as in generation. vLLM adds one token, so the
        context length is one less.
        """
        if (
            top_k < 0
        ):  # a limit for a server's clients, which vLLM reads with each request: nothing that is loaded changes
            self._llm.llm_engine.model_config.max_logprobs = -1
        self._llm.reset_prefix_cache()
        prompts = [tokenized(self._tokenizer, row, self._context) for row in rows]
        fitting = [ids[: self._context - 1 - len(prompt)] for prompt, ids in zip(prompts, continuations, strict=True)]
        asked = [p + ids for p, ids in zip(prompts, fitting, strict=True) if not isinstance(p, str)]
        sampling = {"temperature": 0.0, "max_tokens": 1, "detokenize": False, "flat_logprobs": True}
        every = [{**sampling, "prompt_logprobs": top_k}] * len(asked)
        why_not = vllm_hidden_states.why_not(self._llm, top_k) if exact else None
        hidden = vllm_hidden_states.StateRecorder(self._llm, top_k) if exact and not why_not else None
        refused = {"hidden": {"refused": why_not}} if why_not else {}
        with hidden.recording() if hidden else nullcontext():
            outputs = in_order(self._run(asked, every, on_progress), first=self._handed)
            for row, prompt, ids in zip(rows, prompts, fitting, strict=True):
                if isinstance(prompt, str):
                    yield {"prompt_id": row["id"], "failure": prompt}
                else:
                    scores = token_scores(next(outputs).prompt_logprobs, ids, top_k, hidden)
                    yield {"prompt_id": row["id"], **scores, **refused}

    def write_head(self, file: str, on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """Yield one record, and write the head's matrix; see `answering.Model`."""
        yield vllm_hidden_states.write_head(self._llm, file)

    def token_texts(self, ids: list[int], on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """Yield one record with the text of each of these tokens."""
        yield {"texts": [self._tokenizer.decode([id_]) for id_ in ids]}

    def _decoding(self, row: PromptRow) -> JsonRecord:
        """The sampling parameters for a prompt with tools: calls can be between special tokens."""
        return self._tool_calls.decoding(row) if self._tool_calls and row["tools"] else {}

    def _generation(self, row: PromptRow, output: Any) -> JsonRecord:
        """A record of `generate`, from vLLM's `CompletionOutput`."""
        record = _generation(row["id"], output)
        return {**record, **self._tool_calls.read(row, output)} if self._tool_calls and row["tools"] else record

    def _run(self, prompts: list[list[int]], sampling: list[JsonRecord], on_progress: ReportProgress) -> Iterator[Any]:
        """Run vLLM's loop over its steps, like `LLM.generate`, with progress reports.

        Each prompt has its own sampling. Yields the outputs when they finish.
        """
        if not prompts:
            return
        from vllm import SamplingParams

        self._handed += len(prompts)
        params = [SamplingParams(**own) for own in sampling]
        self._llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        engine = self._llm.llm_engine
        finished, tokens, last_report = 0, 0, time.monotonic()
        while running := engine.get_num_unfinished_requests():
            outputs = self._step()
            finished += len(outputs)
            tokens += running
            if time.monotonic() - last_report > HEARTBEAT_S:
                last_report = time.monotonic()
                on_progress(finished, tokens)
            yield from outputs

    def _step(self) -> list[Any]:
        """The outputs that one step of the engine finishes."""
        engine = self._llm.llm_engine
        phase, began = vllm_speed.next_step(engine), time.monotonic()
        outputs: list[Any] = engine.step()
        seconds = time.monotonic() - began
        self.step_seconds += seconds
        self._phases.add(phase, seconds)
        return outputs

    def _warm_up(self) -> None:
        """Run a short request and discard it, since the first request includes lazy initialization."""
        ids = self._tokenizer.encode("a")
        list(self._run([list(ids)], [{"temperature": 0.0, "max_tokens": 2, "logprobs": 0}], lambda *_: None))

    def _describe(self) -> JsonRecord:
        config = self._llm.llm_engine.vllm_config
        shares = int(getattr(getattr(config, "parallel_config", None), "tensor_parallel_size", None) or 1)
        layers = of_all_stages(self._llm.apply_model(layer_groups), shares=shares)
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
            **tokenizer_record(self._tokenizer),
            "end_tokens": end_tokens(config.model_config, self._tokenizer),
            "generation_config": {},  # every request sets all sampling parameters
            **parallelism(config),
            "versions": versions(
                "torch", "transformers", "compressed-tensors", "torchao", "vllm-gguf-plugin", "vllm-bnb-plugin"
            ),
            "notes": notes,
        }


def _sampling_params(sampling: JsonRecord, *, logprobs: bool) -> Any:
    """Return only finished outputs."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(**sampling, logprobs=0 if logprobs else None, output_kind=RequestOutputKind.FINAL_ONLY)


def _generation(prompt_id: str, output: Any) -> JsonRecord:
    """A record of `generate`, from vLLM's `CompletionOutput`."""
    ids, steps = list(output.token_ids), output.logprobs
    return {
        "prompt_id": prompt_id,
        "text": output.text,
        "token_ids": ids,
        "logprobs": None if steps is None else [step[id_].logprob for step, id_ in zip(steps, ids, strict=True)],
        "finish_reason": output.finish_reason,
    }


def _torchao_arguments(scheme: str, group_size: int | None) -> JsonRecord:
    """The arguments with which vLLM quantizes linear layers while loading, with torchao."""
    from torchao.core.config import config_to_dict

    as_json = json.dumps(config_to_dict(torchao_config(scheme, group_size)))
    return {"quantization": "torchao", "hf_overrides": {"quantization_config_dict_json": as_json}}


if __name__ == "__main__":
    answer(VllmInProcess)
