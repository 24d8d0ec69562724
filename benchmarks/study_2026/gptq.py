"""W4A16 by GPTQ through llm-compressor, on a CPU: the calibrated twin of a format that is rounded to nearest.

    python benchmarks/study_2026/gptq.py MODEL OUT [--group 64]

Calibrated on Python's own documentation (`pydoc_data.topics`, which every Python has): 48 sequences of 256 tokens, in
the model's chat template if it has one. None of it is a prompt of the study. llm-compressor 0.14 pins
compressed-tensors 0.19, so it wants an environment of its own. Writes OUT/linear.safetensors and
OUT/quantization.json for checkpoints.py.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

SEQUENCES, LENGTH, SHORTEST = 48, 256, 1_200


def main() -> None:
    """Quantize, and keep the linear layers."""
    import torch
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--group", type=int, default=64)
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # more threads than free cores wait for each other
    tokenizer = AutoTokenizer.from_pretrained(chosen.model)
    model = AutoModelForCausalLM.from_pretrained(chosen.model, dtype=torch.bfloat16)
    weights = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=chosen.group)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)
    rows = calibration(tokenizer)
    oneshot(
        model=model,
        processor=tokenizer,
        dataset=Dataset.from_list(rows),
        recipe=[GPTQModifier(config_groups={"group_0": scheme}, ignore=["lm_head"])],
        max_seq_length=LENGTH,
        num_calibration_samples=len(rows),
    )
    model.save_pretrained(chosen.out, save_compressed=True)
    tensors = load_file(chosen.out / "model.safetensors")
    linear = {name: tensor for name, tensor in tensors.items() if ".layers." in name and "norm" not in name}
    save_file(linear, chosen.out / "linear.safetensors")
    config = json.loads((chosen.out / "config.json").read_text())
    (chosen.out / "quantization.json").write_text(json.dumps(config["quantization_config"], indent=1))


def calibration(tokenizer: Any) -> list[dict[str, list[int]]]:
    """Token ids of evenly chosen passages."""
    rows = []
    for name, text in topics.items():
        if len(text) < SHORTEST:
            continue
        if tokenizer.chat_template:
            chat = [("user", f"Explain {name} in Python."), ("assistant", text)]
            turns = [{"role": role, "content": content} for role, content in chat]
            text = tokenizer.apply_chat_template(turns, tokenize=False)
        ids = tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"]
        rows += [ids[start : start + LENGTH] for start in range(0, len(ids) - LENGTH, LENGTH)]
    chosen = rows[:: max(1, len(rows) // SEQUENCES)][:SEQUENCES]
    return [{"input_ids": ids, "attention_mask": [1] * LENGTH} for ids in chosen]


if __name__ == "__main__":
    main()
