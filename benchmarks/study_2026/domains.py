"""Where GPTQ is better than rounding: on its calibration text, on more text of that kind, and on the study's answers.

    python benchmarks/study_2026/domains.py WORK

WORK/models has smollm2-135m and its copies W4A16 g64, rounded (`-w4a16-g64`) and by GPTQ (`-w4a16-g64-gptq`). Prints
for each text the tokens, and for each copy KL(BF16 || copy) in nats per token with transformers in BF16, over the whole
vocabulary. The answers are BF16's own to every fourth starter prompt, in the exported run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow.parquet as pq
import torch
from gptq import LENGTH, SHORTEST, calibration

RUNS = Path(__file__).resolve().parents[2] / "docs" / "results" / "2026-study" / "runs"
COPIES = ("w4a16-g64", "w4a16-g64-gptq")
SEQUENCES = 12
Text = tuple[list[int], list[int]]
"""Tokens that are only read, and tokens that are scored."""


def main() -> None:
    """Print the table."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    folder = parser.parse_args().work / "models"
    tokenizer = AutoTokenizer.from_pretrained(folder / "smollm2-135m")
    paths = {name: folder / f"smollm2-135m{name and '-'}{name}" for name in ("", *COPIES)}
    models = {name: AutoModelForCausalLM.from_pretrained(p, dtype=torch.bfloat16).eval() for name, p in paths.items()}
    seen = [row["input_ids"] for row in calibration(tokenizer)]
    sets = {
        "calibration": [([], ids) for ids in seen[:SEQUENCES]],
        "other documentation": [([], ids) for ids in unseen(tokenizer, seen)],
        "answers": answers(tokenizer),
    }
    for name, own in sets.items():
        sums, tokens = dict.fromkeys(COPIES, 0.0), 0
        for before, scored in own:
            base = log_probabilities(models[""], before, scored)
            tokens += len(base)
            for copy in COPIES:
                other = log_probabilities(models[copy], before, scored)
                sums[copy] += float((base.exp() * (base - other)).sum())
        print(name, tokens, {copy: round(total / tokens, 3) for copy, total in sums.items()}, flush=True)


def log_probabilities(model: Any, before: list[int], scored: list[int]) -> torch.Tensor:
    """Log-probabilities (tokens, vocabulary) at the scored tokens; the first of a text without a beginning is none."""
    with torch.no_grad():
        logits = model(torch.tensor([before + scored])).logits[0].float()
    return logits.log_softmax(-1)[max(len(before), 1) - 1 : -1]


def unseen(tokenizer: Any, seen: list[list[int]]) -> list[list[int]]:
    """Passages as in the calibration, which isn't among them."""
    known, rows = {tuple(ids) for ids in seen}, []
    for name, text in topics.items():
        if len(text) >= SHORTEST:
            chat = [("user", f"Explain {name} in Python."), ("assistant", text)]
            turns = [{"role": role, "content": content} for role, content in chat]
            ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
            rows += [ids[start : start + LENGTH] for start in range(0, len(ids) - LENGTH, LENGTH)]
    return [ids for ids in rows if tuple(ids) not in known][5::25][:SEQUENCES]


def answers(tokenizer: Any) -> list[Text]:
    """The baseline's answers, each after its prompt in the chat template."""
    [file] = RUNS.glob("c-bf16-*/generations.parquet")
    texts = []
    for row in [row for row in pq.read_table(file).to_pylist() if row["prompt_id"].startswith("starter-")][::4]:
        prompt = json.loads(row["prompt"])
        turns = [("user", prompt)] if isinstance(prompt, str) else prompt
        chat = [{"role": role, "content": content} for role, content in turns]
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        texts.append((tokenizer(text, add_special_tokens=False)["input_ids"], list(row["token_ids"])))
    return texts


if __name__ == "__main__":
    main()
