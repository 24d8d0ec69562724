"""A study whose copy passes its gate, and ways to change it; what is refused then is refused for what was changed."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from fidelity.cli import main

N = 200
WORDS = ("dose", "water", "heart", "daily", "table", "review", "patient", "weeks", "morning", "liver", "risk", "low")
METRICS = [
    "identical",
    {"kind": "rouge", "lsum": False},
    "prefix_agreement",
    "length",
    {"kind": "breaks", "checks": ["empty", "length", "loop"]},
]
GATE = {
    "margins": {"rougeL": 0.05, "prefix_agreement": 0.1},
    "breaks": {"empty": 0.05, "length": 0.05, "loop": 0.05},
}
RAN = {"engine": "vllm", "version": "0.26.0", "device": "H100", "mode": "compiled"}
THAI = "กรุงเทพมหานครเป็นเมืองหลวงและเมืองที่มีประชากรมากที่สุดของประเทศไทย"
Rows = list[dict[str, Any]]


def answer(n: int, *, changed: bool = False) -> str:
    """Some forty words; a changed one ends otherwise, as an answer does that diverged late."""
    draw = random.Random(n)
    words = [draw.choice(WORDS) for _ in range(40)]
    if changed:
        words[-2:] = ["instead", "then"]
    return f"Case {n}: take {n + 5} mg, {' '.join(words)}."


def row(n: int, text: str, **keys: Any) -> dict[str, Any]:
    """A recorded answer; its token ids are its words'."""
    ids = [sum(map(ord, word)) for word in text.split()]
    return {"id": f"p{n:03}", "text": text, "token_ids": ids, "finish_reason": "stop", **keys}


def answers(changed: range | tuple[int, ...] = (), count: int = N) -> Rows:
    return [row(n, answer(n, changed=n in changed)) for n in range(count)]


BASE, CONTROL, COPY = answers(), answers(range(0, 20)), answers(range(10, 35))


class Study:
    """A folder with the honest study; what is written again replaces a file of it."""

    def __init__(self, folder, capsys) -> None:
        self.folder, self.store, self._capsys = folder, folder / "store", capsys

    def rows(self, name: str, rows: Rows) -> None:
        """Write NAME.jsonl."""
        lines = [json.dumps(one, ensure_ascii=False) for one in rows]
        (self.folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def run(self, name: str, *, path: str | None = None, ran: dict[str, Any] | None = None, **keys: Any) -> str:
        """Write NAME.yaml, of NAME.jsonl or another file."""
        engine = {"kind": "recorded", "path": path or f"{name}.jsonl", "ran": RAN if ran is None else ran}
        text = json.dumps({"name": name, "engine": engine, **keys})
        (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return f"{name}.yaml"

    def base(self, name: str = "base", *, control: Any = "again.jsonl", **keys: Any) -> str:
        given = {"path": control} if control.endswith(("jsonl", "parquet")) else control
        return self.run(name, label="BF16", control=given, metrics=METRICS, **keys)

    def copy(self, rows: Rows, name: str = "quant", **keys: Any) -> str:
        self.rows(name, rows)
        return self.run(name, **{"label": "W4A16-INT4 g128", **keys})

    def gate(self, gate: Any) -> str:
        text = gate if isinstance(gate, str) else json.dumps(gate)
        (self.folder / "gate.yaml").write_text(text, encoding="utf-8")
        return "gate.yaml"

    def compare(self, *candidates: str, base: str = "base.yaml", options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Exit code and all that was printed, on one line."""
        return self.fidelity("compare", base, *candidates, "--gate", "gate.yaml", "--store", str(self.store), *options)

    def fidelity(self, *arguments: str) -> tuple[int, str]:
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = self._capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())


def refused(result: tuple[int, str], why: str) -> None:
    code, printed = result
    assert code != 0, printed
    assert re.search(why, printed), f"{why!r} isn't in: {printed}"


def each(change: Callable[[str], str], every: int = 1) -> Callable[[Rows], Rows]:
    """All answers changed, or every so many of them."""
    return lambda rows: [row(n, change(r["text"])) if n % every == 0 else r for n, r in enumerate(rows)]


def fields(every: int = 1, **keys: Any) -> Callable[[Rows], Rows]:
    """Rows with other fields; None takes one away."""

    def changed(rows: Rows) -> Rows:
        given = [{**r, **keys} if n % every == 0 else r for n, r in enumerate(rows)]
        return [{key: value for key, value in r.items() if value is not None} for r in given]

    return changed


def moved(order: Callable[[list[int]], list[int]]) -> Callable[[Rows], Rows]:
    """The same answers, to other prompts."""
    return lambda rows: [{**rows[m], "id": rows[n]["id"]} for n, m in enumerate(order(list(range(len(rows)))))]


def shuffled(numbers: list[int]) -> list[int]:
    return random.Random(1).sample(numbers, len(numbers))


def half_shuffled(numbers: list[int]) -> list[int]:
    half = len(numbers) // 2
    return [*numbers[:half], *shuffled(numbers[half:])]


def words(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda text: " ".join(change(text.split()))


MISSING = r"of \d+ prompts without an answer"
FAR = r"FAIL\. Beyond the limit: .*rougeL"

SHUFFLED = moved(shuffled)(COPY)
