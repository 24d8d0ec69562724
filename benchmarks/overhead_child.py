"""The child of `overhead_gpu.py`: fidelity's own, which can also run a bare script's loop on the same engine."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from typing import Any

from fidelity.children import vllm as child
from fidelity.children.answering import ReportProgress, answer
from fidelity.children.prompting import tokenized

LENGTHS = itertools.cycle(json.loads(os.environ["LENGTHS"]))
"""How long each answer is, in the order in which they are asked: models with random weights never end one."""
_sampling_params = child._sampling_params


def of_drawn_length(sampling: dict[str, Any], *, logprobs: bool) -> Any:
    """As a run has it, but for the length."""
    params = _sampling_params(sampling, logprobs=logprobs)
    params.max_tokens, params.ignore_eos = next(LENGTHS), True
    return params


class WithBare(child.VllmInProcess):
    """One engine for both."""

    def bare(self, rows: list[dict[str, Any]], on_progress: ReportProgress) -> Iterator[dict[str, Any]]:
        """One record: the seconds and tokens of handing all prompts to `LLM.generate` at once."""
        from vllm import SamplingParams

        self._llm.reset_prefix_cache()
        began = time.monotonic()
        prompts = [{"prompt_token_ids": tokenized(self._tokenizer, row, self._context)} for row in rows]
        params = [SamplingParams(temperature=0.0, max_tokens=next(LENGTHS), ignore_eos=True) for _ in rows]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        yield {
            "seconds": time.monotonic() - began,
            "tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        }


if __name__ == "__main__":
    child._sampling_params = of_drawn_length
    answer(WithBare)
