"""The child process that holds a model in transformers."""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fidelity.children.answering import ReportProgress, answer
from fidelity.children.describing import counts, ran_as, versions
from fidelity.children.hidden_states import head_fields, write_matrix
from fidelity.children.prompting import prompt_record, tokenized, tokenizer_record
from fidelity.children.sampling import Answer, DrivenModel
from fidelity.children.torchao_schemes import torchao_config
from fidelity.children.transformers_layers import layer_groups
from fidelity.children.wire import JsonRecord, SampledRow, SamplingFields, TorchAOFields

HEARTBEAT_S = 1.0
"""Seconds between progress reports."""


class TransformersModel(DrivenModel):
    """A causal language model as transformers loads it, and its tokenizer."""

    def __init__(
        self,
        model: str,
        arguments: JsonRecord,
        torchao: TorchAOFields | None,
        context: int | None,
        batch: int,
    ) -> None:
        """Load the model and its tokenizer.

        Args:
            model: The checkpoint's directory, or a GGUF file.
            arguments: Arguments of `AutoModelForCausalLM.from_pretrained`.
            torchao: The scheme to quantize with while loading.
            context: The context length, in tokens. Default: the model's.
            batch: The batch size.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        gguf = {"gguf_file": Path(model).name} if model.endswith(".gguf") else {}
        directory = str(Path(model).parent) if gguf else model
        if torchao:
            from transformers import TorchAoConfig

            arguments = {**arguments, "quantization_config": TorchAoConfig(torchao_config(**torchao))}
        trusted = {"trust_remote_code": True} if arguments.get("trust_remote_code") else {}
        self._tokenizer = AutoTokenizer.from_pretrained(directory, **gguf, **trusted)
        self._model = AutoModelForCausalLM.from_pretrained(directory, **gguf, **arguments).eval()
        own = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        self._context = int(context or own or self._tokenizer.model_max_length)
        self._ends = _ends(self._model.generation_config, self._tokenizer)
        self._model.generation_config = (
            GenerationConfig()
        )  # else `generate` would use it for what a request leaves open
        self._batch = batch
        self.step_seconds = 0.0
        """Seconds spent generating since the warm-up."""
        self.info = self._describe()
        self._answer_batch([(self._tokenizer.encode("a"), WARM_UP)], lambda _: None)  # pays for lazy initialisation
        self.step_seconds = 0.0

    def generate(
        self, rows: list[SampledRow], sampling: SamplingFields, on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """Yield one record per row, in order; prompts of similar length share a batch."""
        prompts = [tokenized(self._tokenizer, row, self._context) for row in rows]
        answerable = {number: ids for number, ids in enumerate(prompts) if not isinstance(ids, str)}
        by_length = sorted(answerable, key=lambda number: (len(answerable[number]), number))
        answers: dict[int, Answer] = {}
        for first in range(0, len(by_length), self._batch):
            members = by_length[first : first + self._batch]
            done, tokens = len(answers), sum(len(whole.token_ids) for whole in answers.values())
            report = partial(_say, on_progress, done, tokens)
            each: list[SamplingFields] = [{**sampling, "seed": rows[number]["seed"]} for number in members]
            asked = [(answerable[number], own) for number, own in zip(members, each, strict=True)]
            batch = self._answer_batch(asked, report)
            answers.update(zip(members, batch, strict=True))
        for number, (row, ids) in enumerate(zip(rows, prompts, strict=True)):
            if isinstance(ids, str):
                yield {"prompt_id": row["id"], "failure": ids}
            else:
                yield {**answers[number].record(row["id"]), **prompt_record(ids)}

    def _logits(self, prompt: list[int], continuation: list[int]) -> Any:
        """See `DrivenModel`; one pass over prompt and continuation."""
        import torch

        tokens = torch.tensor([prompt + continuation], device=self._model.device)
        last = len(continuation) + 1
        takes_few = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        began = time.monotonic()
        with torch.inference_mode():
            logits = self._model(tokens, use_cache=False, **({"logits_to_keep": last} if takes_few else {})).logits
        self.step_seconds += time.monotonic() - began
        return logits[0, -last:-1]

    def _hidden_states(self, prompt: list[int], continuation: list[int]) -> tuple[Any, Any]:
        """See `DrivenModel`."""
        head, inputs = self._model.get_output_embeddings(), []
        if head is None:
            return super()._hidden_states(prompt, continuation)
        hook = head.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].detach()))
        try:
            logits = self._logits(prompt, continuation)
        finally:
            hook.remove()
        return inputs[-1][0, -len(continuation) - 1 : -1], logits

    def write_head(self, file: str, on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """See `answering.Model`."""
        head, config = self._model.get_output_embeddings(), self._model.config.get_text_config()
        if head is None:
            yield from super().write_head(file, on_progress)
            return
        device, dtype = self._model.device, self._model.dtype
        try:
            written = write_matrix(file, head, width=config.hidden_size, dtype=dtype, device=device)
        except (ValueError, RuntimeError) as error:
            yield {"refused": f"the model's head is not a matrix that can be read: {error}"}
            return
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        yield {**head_fields(written, soft_cap=getattr(config, "final_logit_softcapping", None), scale=scale)}

    def _answer_batch(
        self, asked: Sequence[tuple[list[int], SamplingFields]], on_tokens: Callable[[int], None]
    ) -> list[Answer]:
        """Generate with transformers' `generate`, for left-padded prompts.

        Each prompt is token ids with its sampling.
        """
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        answers = [
            Answer(ids, sampling, ends=self._ends, context=self._context, decode=self._decode)
            for ids, sampling in asked
        ]
        longest = max(len(ids) for ids, _ in asked)
        padded = torch.tensor([[0] * (longest - len(ids)) + ids for ids, _ in asked])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids, _ in asked])
        most = max(int(sampling["max_tokens"]) for _, sampling in asked)
        began = last_report = time.monotonic()

        def choose(_: Any, logits: Any) -> Any:
            """Leave each row only its chosen token, which `generate` then selects as the most likely."""
            nonlocal last_report
            chosen = torch.full_like(logits, -torch.inf)
            for row, growing in enumerate(answers):
                chosen[row, 0 if growing.finish_reason else growing.choose(logits[row])] = 0
            if time.monotonic() - last_report > HEARTBEAT_S:
                last_report = time.monotonic()
                on_tokens(sum(len(growing.token_ids) for growing in answers))
            return chosen

        def finished(ids: Any, *_: Any, **__: Any) -> Any:
            return torch.tensor([growing.finish_reason is not None for growing in answers], device=ids.device)

        with torch.inference_mode():
            self._model.generate(
                input_ids=padded.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                generation_config=GenerationConfig(do_sample=False, max_new_tokens=most, pad_token_id=0),
                logits_processor=LogitsProcessorList([choose]),
                stopping_criteria=StoppingCriteriaList([finished]),
            )
        self.step_seconds += time.monotonic() - began
        return answers

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _describe(self) -> JsonRecord:
        layers = layer_groups(self._model)
        template = getattr(self._tokenizer, "chat_template", None)
        notes = ["generated with transformers: slower than a serving engine, with other kernels"]
        notes += [] if template else ["the checkpoint has no chat template: prompts went in as plain text"]
        dtype = str(self._model.dtype).removeprefix("torch.")
        return {
            "kind": "transformers",
            "mode": "eager",
            "dtype": dtype,
            "ran_as": ran_as(layers),
            "attention": getattr(self._model.config, "_attn_implementation", None),
            "layers": layers,
            "kv_cache": dtype,
            **counts(layers),
            "context": self._context,
            **tokenizer_record(self._tokenizer),
            "end_tokens": sorted(self._ends),
            "generation_config": {},  # removed when the model is loaded
            "tensor_parallel": 1,
            "pipeline_parallel": 1,
            "speculative": "none",
            "versions": versions(
                "torch", "accelerate", "compressed-tensors", "torchao", "bitsandbytes", "gptqmodel", "gguf", "kernels"
            ),
            "notes": notes,
        }


def _say(on_progress: ReportProgress, done: int, before: int, fresh: int) -> None:
    on_progress(done, before + fresh)


WARM_UP: SamplingFields = {
    "temperature": 0.0,
    "max_tokens": 2,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "seed": 0,
    "stop": [],
}
"""The sampling of a short warm-up request."""


def _ends(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """The end tokens: those of generation_config.json, and the tokenizer's."""
    named = generation_config.eos_token_id
    many = named if isinstance(named, list) else [named]
    return frozenset(int(token) for token in (*many, tokenizer.eos_token_id) if token is not None)


if __name__ == "__main__":
    answer(TransformersModel)
