"""How does the drift of an FP8 KV cache grow with the length of the context?

    python benchmarks/context_drift.py MODEL --contexts 256,512,1024,1900 --each 12 --engine '{"max_model_len": 2048}'
        [--candidate '{"options": {"kv_cache_dtype": "fp8"}}'] [--store DIR] [--json FILE] [--image FILE.png]

Makes prompts of the given numbers of tokens (questions of Arena-Hard one after another, of which the last is to be
answered), generates with the engine twice (baseline and control) and with the candidate's, and prints for each length
the mean excess over the control with a 95% t interval over prompts. The chart needs `altair[save]`.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from scipy.stats import t
from tokenizers import Tokenizer

import fidelity

ROOT = Path(__file__).parent.parent
COLUMNS = ("identical", "prefix_agreement", "top1_agreement")
"""The columns that are reported; in all of them more is better."""


def main() -> None:
    """Generate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--contexts", type=_numbers, default=(256, 512, 1024, 1900))
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--engine", type=json.loads, default={"max_model_len": 2048})
    parser.add_argument("--candidate", type=json.loads, default={"options": {"kv_cache_dtype": "fp8"}})
    parser.add_argument("--store", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--image", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prompts = list(_prompts(chosen.model, chosen.contexts, chosen.each))
        (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(prompt)}\n" for prompt in prompts))
        engine = {"kind": "vllm", "dtype": "bfloat16", **chosen.engine}
        options = {**engine.get("options", {}), **chosen.candidate.get("options", {})}
        base = {
            "name": "base",
            "model": str(chosen.model.resolve()),
            "engine": engine,
            "prompts": "prompts.jsonl",
            "sampling": {"temperature": 0, "max_tokens": chosen.max_tokens},
            "control": {"repeats": 1},
            "metrics": ["identical", "prefix_agreement", "tokens"],
        }
        candidate = {
            "name": "candidate",
            "model": base["model"],
            "engine": {**engine, **chosen.candidate, "options": options},
            "compares": "kv_cache",
        }
        for run in (base, candidate):
            (folder / f"{run['name']}.yaml").write_text(yaml.safe_dump(run))
        result = fidelity.compare(
            folder / "base.yaml", [folder / "candidate.yaml"], store=chosen.store or folder / "store"
        )
        table = excess_by_context(result.to_pandas())
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    if chosen.json:
        chosen.json.write_text(json.dumps(table.to_dict("records"), indent=1) + "\n")
    if chosen.image:
        draw(table, chosen.image)


def excess_by_context(pairs: pd.DataFrame) -> pd.DataFrame:
    """For each length and column: prompts, the means of control and candidate, the excess and its 95% interval."""
    rows = []
    for column in (column for column in COLUMNS if column in pairs):
        values = pairs.pivot_table(index="prompt_id", columns="role", values=column)
        values["context"] = [int(name.split("-")[0]) for name in values.index]
        for context, group in values.dropna().groupby("context"):
            excess = group["control"] - group["candidate"]
            half = t.ppf(0.975, len(excess) - 1) * excess.std() / len(excess) ** 0.5
            mean = excess.mean()
            rows.append(
                {
                    "column": column,
                    "context": context,
                    "n": len(excess),
                    "control": group["control"].mean(),
                    "candidate": group["candidate"].mean(),
                    "excess": mean,
                    "low": mean - half,
                    "high": mean + half,
                }
            )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, image: Path) -> None:
    """The excess of each column against the length of the context."""
    import altair as alt

    x = alt.X("context:Q", title="prompt in tokens", scale=alt.Scale(type="log", base=2))
    base = alt.Chart(table).encode(x=x, color=alt.Color("column:N", title=None))
    lines = base.mark_line(point=True).encode(y=alt.Y("excess:Q", title="mean excess over the control"))
    intervals = base.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q")
    (lines + intervals).properties(width=520, height=260).save(image, scale_factor=2)


def _prompts(model: Path, contexts: Sequence[int], each: int) -> Iterator[dict[str, Any]]:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    lines = (ROOT / "prompts" / "arena-hard-v0.1.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["prompt"] for line in lines]
    draws = random.Random(0)
    for context in contexts:
        for number in range(each):
            yield {
                "id": f"{context}-{number:02}",
                "category": f"{context} tokens",
                "prompt": _prompt(tokenizer, draws.sample(questions, len(questions)), context),
            }


def _prompt(tokenizer: Tokenizer, questions: Sequence[str], tokens: int) -> str:
    """Questions up to a number of tokens; the first one is cut to fit."""
    ending = "\n\nAnswer the last question only."
    (*before, last) = questions
    text = f"Question: {last[-tokens:]}{ending}"
    for question in before:
        longer = f"Question: {question}\n\n{text}"
        ids = tokenizer.encode(longer).ids
        if len(ids) >= tokens:
            return str(tokenizer.decode(ids[-tokens:]))
        text = longer
    return text


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
