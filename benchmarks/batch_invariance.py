r"""Do answers depend on the batch with vLLM's batch-invariant kernels? On a GPU.

    VLLM_BATCH_INVARIANT=1 VLLM_USE_FLASHINFER_SAMPLER=0 python benchmarks/batch_invariance.py MODEL PROMPTS.jsonl \
        [--limit 72] [--tokens 128] [--options '{"attention_backend": "TRITON_ATTN"}']

Asks all prompts at once, then: again in reverse; every sixth one alone; and all of them behind a ramp, eight
more in each step and at most 55 at once, so that steps read prompts while others are being answered. Prints in how many
of the answers the tokens, and the log-probabilities bit by bit, equal those of the first time.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from fidelity.children.prompting import tokenized
from fidelity.engines.child import rows_of
from fidelity.prompts import load_prompts

Answers = dict[int, tuple[list[int], list[float]]]
STEP, MOST = 8, 55


def tokens_and_logprobs(output: Any) -> tuple[list[int], list[float]]:
    """Of a finished answer."""
    ids = list(output.token_ids)
    return ids, [step[token].logprob for step, token in zip(output.logprobs, ids, strict=True)]


class Model:
    """An engine and prompts."""

    def __init__(self, model: Path, prompts: Any, tokens: int, options: dict[str, Any]) -> None:
        from vllm import LLM, SamplingParams

        self._llm = LLM(model=str(model), **{"dtype": "bfloat16", "max_model_len": 4096, **options})
        rows = [tokenized(self._llm.get_tokenizer(), row, 4000) for row in rows_of(prompts)]
        self.prompts = [{"prompt_token_ids": ids} for ids in rows if not isinstance(ids, str)]
        self._params = SamplingParams(temperature=0.0, max_tokens=tokens, logprobs=0)

    def at_once(self, places: list[int]) -> Answers:
        """The answers to prompts that are handed over together."""
        self._llm.reset_prefix_cache()
        outputs = self._llm.generate([self.prompts[place] for place in places], self._params, use_tqdm=False)
        return {place: tokens_and_logprobs(out.outputs[0]) for place, out in zip(places, outputs, strict=True)}

    def behind_a_ramp(self, places: list[int]) -> Answers:
        """The answers to prompts that are admitted while others are being answered."""
        self._llm.reset_prefix_cache()
        engine, waiting, running, answers, steps = self._llm.llm_engine, list(places), 0, Answers(), 0
        while waiting or running:
            steps += 1
            while waiting and running < min(MOST, STEP * steps):
                place = waiting.pop(0)
                engine.add_request(f"ramp-{place}", self.prompts[place], self._params.clone())
                running += 1
            for output in engine.step():
                if output.finished:
                    running -= 1
                    answers[int(output.request_id.partition("-")[2])] = tokens_and_logprobs(output.outputs[0])
        return answers


def main() -> None:
    """Ask in four ways and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--limit", type=int, default=72)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--options", type=json.loads, default={}, help="more arguments of LLM(...), as JSON")
    chosen = parser.parse_args()
    model = Model(chosen.model, load_prompts(chosen.prompts, limit=chosen.limit), chosen.tokens, chosen.options)
    everything = list(range(len(model.prompts)))
    first = model.at_once(everything)
    alone: Answers = {}
    for place in everything[::6]:
        alone |= model.at_once([place])
    again = {
        "in reverse": model.at_once(everything[::-1]),
        "alone": alone,
        "behind a ramp": model.behind_a_ramp(everything),
    }
    print(f"| {json.dumps(chosen.options)} | equal tokens | equal log-probabilities |\n|---|---|---|")
    for way, answers in again.items():
        tokens = sum(first[place][0] == answer[0] for place, answer in answers.items())
        logprobs = sum(first[place] == answer for place, answer in answers.items())
        print(f"| {way} | {tokens} of {len(answers)} | {logprobs} of {len(answers)} |", flush=True)


if __name__ == "__main__":
    main()
