"""The child process that runs an ExecuTorch program: a language model as it was exported for a phone, on this machine.

Runs in any environment that has `executorch`: it takes the tokenizer from its file, without transformers.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fidelity.children.answering import ReportProgress, answer
from fidelity.children.describing import counts, ran_as, versions
from fidelity.children.executorch_layers import layer_groups
from fidelity.children.prompting import prompt_record, tokenized, tokenizer_record
from fidelity.children.sampling import Answer, token_score_records
from fidelity.children.tokenizer_file import TokenizerFile
from fidelity.children.wire import JsonRecord, PromptRow, SampledRow, SamplingFields

HEARTBEAT_S = 1.0
"""How often a running answer says how far it is."""


class ExecuTorchModel:
    """A program of `executorch.examples.models.llama`'s kind: tokens and their first position in, logits out.

    It holds one KV cache, and so one prompt at a time.
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
            raise ValueError(f"{path}: doesn't say how long its context is (get_max_context_len, get_max_seq_len)")
        dynamic = self._value_of("enable_dynamic_shape")
        # The exporter's bound on the tokens of one call is one less than its name says.
        self._at_once = max(1, int(self._value_of("get_max_seq_len") or self._context) - 1) if dynamic else 1
        self._ends = frozenset(int(token) for token in self._values_of("get_eos_ids")) | self._tokenizer.ends
        self.step_seconds = 0.0
        """Spent inside the program since the warm-up."""
        probe = [0] * min(2, self._at_once)
        self._every_position = self._forward(probe, 0).shape[0] == len(probe) > 1
        self.info = self._describe(Path(path))
        self.step_seconds = 0.0

    def generate(
        self, rows: list[SampledRow], sampling: SamplingFields, on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """One record per row, in order, one after another."""
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

    def score_tokens(
        self, rows: list[PromptRow], continuations: list[list[int]], top_k: int, on_progress: ReportProgress
    ) -> Iterator[JsonRecord]:
        """See `answering.Model`; token by token where the program gives the logits of the last position only."""
        records = token_score_records(
            self._tokenizer, rows, continuations, context=self._context, top_k=top_k, logits_of=self._logits
        )
        for number, record in enumerate(records, start=1):
            yield record
            on_progress(number, 0)

    def token_texts(self, ids: list[int], on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """One record: how each of these tokens reads by itself."""
        yield {"texts": [self._tokenizer.decode([id_], skip_special_tokens=False) for id_ in ids]}

    def _logits(self, prompt: list[int], continuation: list[int]) -> Any:
        """The logits (n, vocabulary) before each token of the continuation."""
        import torch

        at_once = self._at_once if self._every_position else 1
        before = [self._read(prompt).unsqueeze(0)]
        for first in range(0, len(continuation) - 1, at_once):
            before.append(self._forward(continuation[:-1][first : first + at_once], len(prompt) + first))
        return torch.cat(before)[: len(continuation)]

    def _read(self, prompt: Sequence[int]) -> Any:
        """The logits (vocabulary,) behind a prompt."""
        for first in range(0, len(prompt), self._at_once):
            logits = self._forward(prompt[first : first + self._at_once], first)
        return logits[-1]

    def _forward(self, ids: Sequence[int], position: int) -> Any:
        """The logits (n, vocabulary) behind each of the tokens, or (1, vocabulary) behind the last one."""
        import torch

        began = time.monotonic()
        (logits, *_) = self._program.forward((torch.tensor([list(ids)]), torch.tensor([position])))
        self.step_seconds += time.monotonic() - began
        return logits.reshape(-1, logits.shape[-1]).clone()  # the program writes the next ones to the same place

    def _values_of(self, method: str) -> list[Any]:
        """What one of the program's constant methods returns; nothing if it has none of that name."""
        return list(self._program.run_method(method)) if method in self._program.method_names() else []

    def _value_of(self, method: str) -> Any:
        return next(iter(self._values_of(method)), None)

    def _describe(self, path: Path) -> JsonRecord:
        template = self._tokenizer.chat_template
        layers, reason = layer_groups(path)
        notes = [reason] if reason else []
        notes += [] if template else ["the tokenizer has no chat template: prompts went in as plain text"]
        notes += ["the program answers one prompt at a time, so that other chunks change nothing in it"]
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
