"""The child process that runs an ExecuTorch program: a language model, exported for a phone, on this machine.

It runs in any environment with `executorch`, and reads the tokenizer from its file, without transformers.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fidelity.children.answering import ReportProgress, answer
from fidelity.children.describing import counts, ran_as, versions
from fidelity.children.executorch_layers import layer_groups
from fidelity.children.prompting import prompt_record, tokenized, tokenizer_record
from fidelity.children.sampling import Answer, DrivenModel
from fidelity.children.tokenizer_file import TokenizerFile
from fidelity.children.wire import JsonRecord, SampledRow, SamplingFields

HEARTBEAT_S = 1.0
"""Seconds between progress reports."""


class ExecuTorchModel(DrivenModel):
    """A program of `executorch.examples.models.llama`'s kind: tokens and their first position in, logits out.

    It has one KV cache, and therefore runs one prompt at a time.
    """

    def __init__(self, path: str, tokenizer: str) -> None:
        """Load the program in `path`, with the tokenizer in the directory `tokenizer`."""
        from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401 - else the program misses operators
        from executorch.extension.pybindings import portable_lib
        from executorch.kernels import quantized  # noqa: F401 - the same

        self._program = portable_lib._load_for_executorch(path)
        self._tokenizer = TokenizerFile(Path(tokenizer))
        self._context = int(self._value_of("get_max_context_len") or self._value_of("get_max_seq_len") or 0)
        if not self._context:
            raise ValueError(f"{path}: has no context length (get_max_context_len, get_max_seq_len); export it again")
        dynamic = self._value_of("enable_dynamic_shape")
        # The exporter's limit on the tokens of one call is one less than its name suggests.
        self._at_once = max(1, int(self._value_of("get_max_seq_len") or self._context) - 1) if dynamic else 1
        self._ends = frozenset(int(token) for token in self._values_of("get_eos_ids")) | self._tokenizer.ends
        self.step_seconds = 0.0
        """Seconds spent in the program since the warm-up."""
        probe = [0] * min(2, self._at_once)
        self._every_position = self._forward(probe, 0).shape[0] == len(probe) > 1
        self.info = self._describe(Path(path))
        self.step_seconds = 0.0

    def generate(
        self, rows: list[SampledRow], sampling: SamplingFields, on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """Yield one record per row, in order, one prompt at a time."""
        tokens, last_report = 0, time.monotonic()
        for number, row in enumerate(rows):
            ids = tokenized(self._tokenizer, row, self._context)
            if isinstance(ids, str):
                yield {"prompt_id": row["id"], "failure": ids}
                continue
            how: SamplingFields = {**sampling, "seed": row["seed"]}
            growing = Answer(ids, how, ends=self._ends, context=self._context, decode=self._tokenizer.decode)
            logits = self._read(ids)
            while growing.finish_reason is None:
                token = growing.choose(logits)
                if time.monotonic() - last_report > HEARTBEAT_S:
                    last_report = time.monotonic()
                    on_progress(number, tokens + len(growing.token_ids))
                if growing.finish_reason is None:
                    logits = self._forward([token], len(ids) + len(growing.token_ids) - 1)[-1]
            tokens += len(growing.token_ids)
            yield {**growing.record(row["id"]), **prompt_record(ids)}

    def _logits(self, prompt: list[int], continuation: list[int]) -> Any:
        """See `DrivenModel`; token by token if the program only returns the logits of the last position."""
        import torch

        at_once = self._at_once if self._every_position else 1
        before = [self._read(prompt).unsqueeze(0)]
        for first in range(0, len(continuation) - 1, at_once):
            before.append(self._forward(continuation[:-1][first : first + at_once], len(prompt) + first))
        return torch.cat(before)[: len(continuation)]

    def _read(self, prompt: Sequence[int]) -> Any:
        """The logits (vocabulary,) after a prompt."""
        for first in range(0, len(prompt), self._at_once):
            logits = self._forward(prompt[first : first + self._at_once], first)
        return logits[-1]

    def _forward(self, ids: Sequence[int], position: int) -> Any:
        """The logits (n, vocabulary) after each of the tokens, or (1, vocabulary) after the last one."""
        import torch

        began = time.monotonic()
        (logits, *_) = self._program.forward((torch.tensor([list(ids)]), torch.tensor([position])))
        self.step_seconds += time.monotonic() - began
        return logits.reshape(-1, logits.shape[-1]).clone()  # the program reuses this memory for the next logits

    def _values_of(self, method: str) -> list[Any]:
        """The result of one of the program's constant methods; empty if there is none of that name."""
        return list(self._program.run_method(method)) if method in self._program.method_names() else []

    def _value_of(self, method: str) -> Any:
        return next(iter(self._values_of(method)), None)

    def _describe(self, path: Path) -> JsonRecord:
        template = self._tokenizer.chat_template
        layers, reason = layer_groups(path)
        notes = [reason] if reason else []
        notes += [] if template else ["the tokenizer has no chat template: prompts went in as plain text"]
        notes += ["the program answers one prompt at a time, so other batches change nothing"]
        return {
            "kind": "executorch",
            "mode": "compiled",
            "ran_as": ran_as(layers),
            "kernels": sorted({group["kernel"] for group in layers if group["kernel"]}),
            "layers": layers,
            **(counts(layers) if layers else {}),
            "context": self._context,
            **tokenizer_record(self._tokenizer),
            "end_tokens": sorted(self._ends),
            "generation_config": {},
            "tensor_parallel": 1,
            "pipeline_parallel": 1,
            "speculative": "none",
            "versions": versions("torch", "torchao", "tokenizers"),
            "notes": notes,
        }


if __name__ == "__main__":
    answer(ExecuTorchModel)
