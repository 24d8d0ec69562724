"""The tables and charts of docs/study-2026.md, rebuilt from the exported runs of docs/results/2026-study.

    python benchmarks/study_2026/rebuild.py [--store STORE] [--families s,sl] [--scored] [--check]

Compares the exported runs (with --scored, a STORE that has all comparisons is only read), and writes the tables between
the page's marks and the charts to docs/images/. With --check nothing is written, and the exit code is 1 if a table of
the page differs from the rebuilt one. Charts need `altair[save]`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also where it is imported by its path
from measures import PLACES, ROOT, Estimate, Numbers, Row, estimate, rank_correlation

from fidelity.cli import main as fidelity

RESULTS = ROOT / "docs" / "results"
STUDIES = (RESULTS / "h100-vllm-0.26" / "study.yaml", RESULTS / "2026-study" / "study.yaml")
TOKENS = RESULTS / "2026-study" / "tokens.parquet"
PAGE = ROOT / "docs" / "study-2026.md"
OF_ALL = ("order",)
"""Tables that are about all families together."""
AXES = ("compiled", "fp16")
"""Candidates that are not quantized: only the engine differs."""
UNCHANGED = ("kv-fp8", "fp8-online", "8da4w")
"""Formats that are made while loading, so the checkpoint's bytes are the baseline's."""
FEWEST = 3
"""With so few rows or fewer, a rank correlation has no meaning."""
SIZES = (("smollm2-135m", "gemma-3-270m"), ("s", "g"))
"""The smaller and the larger model, by family."""
METRICS = ("identical", "prefix_agreement", "first_divergence", "rouge", "length", "conflicts", "breaks", "expected")
CHEAP = ("identical", "prefix_agreement", "rouge1", "length_similarity", "top1_agreement", "ear_exact", "kl")
BLOCK = "<!-- table {} -->\n{}<!-- end -->"


def main() -> None:
    """Compare, make all tables, and write them or check the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="default: a temporary one")
    parser.add_argument("--families", type=lambda text: tuple(text.split(",")), help="default: all")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the page")
    parser.add_argument("--charts", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--scored", action="store_true", help="the store has all comparisons: don't compare again")
    chosen = parser.parse_args()
    store = chosen.store or Path(mkdtemp(prefix="study-2026-"))
    families = chosen.families or families_of()
    if not chosen.scored:
        compare(store, families)
    numbers = Numbers(store, TOKENS, families)
    tables = {name: t for name, t in tables_of(numbers.rows).items() if name not in OF_ALL or not chosen.families}
    page = PAGE.read_text(encoding="utf-8")
    if chosen.check:
        wrong = differing(page, tables)
        sys.exit(f"these tables differ: {', '.join(wrong)}" if wrong else 0)
    PAGE.write_text(filled(page, tables), encoding="utf-8")
    if chosen.charts:
        from charts import draw

        draw(numbers.rows, ROOT / "docs" / "images")


def families_of() -> tuple[str, ...]:
    """The families of all studies, in their order, by the baseline's name without its format."""
    return tuple(family_of(family) for file in STUDIES for family in studied(file))


def studied(file: Path) -> list[dict[str, Any]]:
    families: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["families"]
    return families


def family_of(family: Mapping[str, Any]) -> str:
    return str(family["baseline"]["name"]).removesuffix("-bf16")


def compare(store: Path, families: Sequence[str]) -> None:
    """Compare the exported runs of some families, by copies of the studies' files with paths that lead to them."""
    store.mkdir(parents=True, exist_ok=True)
    for file in STUDIES:
        own = [family for family in studied(file) if family_of(family) in families]
        for run in (run for family in own for run in (family["baseline"], *family["candidates"])):
            run["engine"]["path"] = str(file.parent / run["engine"]["path"])
        if own:
            copy = store / f"{file.parent.name}.yaml"
            copy.write_text(
                json.dumps({"name": file.parent.name, "metrics": METRICS, "families": own}), encoding="utf-8"
            )
            fidelity(["study", str(copy), "--store", str(store)])


def tables_of(rows: Mapping[str, Row]) -> dict[str, str]:
    """Every table by name, as Markdown. Rows are in the order of the families and their names."""
    made: dict[str, Callable[[Mapping[str, Row]], Iterator[list[str]]]] = {
        "noise": noise,
        "formats": formats,
        "size": size,
        "order": order,
        "survival": survival,
        "methods": methods,
        "bytes": bytes_and_drift,
        "expected": expected,
    }
    return {name: markdown(list(lines(rows))) for name, lines in made.items()}


def markdown(lines: list[list[str]]) -> str:
    """A table without the columns that are empty; nothing without rows."""
    head, *body = lines
    filled_in = [place for place, _ in enumerate(head) if any(line[place] for line in body)]
    shown = [[line[place] for place in filled_in] for line in lines]
    rule = ["---", *["---:"] * (len(filled_in) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (shown[0], rule, *shown[1:])) if body else ""


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with these tables between its marks."""
    for name, table in tables.items():
        page = _marks(name).sub(lambda _, name=name, table=table: BLOCK.format(name, table), page)
    return page


def differing(page: str, tables: Mapping[str, str]) -> list[str]:
    """The tables of which a row is not on the page; a part of the families or metrics has a part of the cells."""
    shown = {name: _rows(match.group(1)) if (match := _marks(name).search(page)) else [] for name in tables}
    return [
        name
        for name, table in tables.items()
        if not all(any(row.items() <= other.items() for other in shown[name]) for row in _rows(table))
    ]


def _rows(table: str) -> list[dict[str, str]]:
    """A table's rows by column, without empty cells."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    head, body = (lines[0], lines[2:]) if lines else ([], [])
    return [{column: cell for column, cell in zip(head, line, strict=True) if cell} for line in body]


def _marks(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- table {name} -->\n(.*?)<!-- end -->", re.DOTALL)


def noise(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """What changes without quantization, and with it."""
    yield [
        "row",
        "ran as",
        "same answers",
        "first divergence",
        "ROUGE-1",
        "conflicts",
        "exact KL",
        "EAR",
        "most that noise explains",
    ]
    for row in rows.values():
        floor = rows.get(f"{row.family}-floor")
        share = None
        if floor and not row.floor and row.means.get("identical", 1) < 1:
            share = (1 - floor.means["identical"]) / (1 - row.means["identical"])
        yield [
            f"`{row.name}`",
            f"{row.ran_as}, {row.mode}",
            number(row.means.get("identical")),
            f"{row.first:.0f}",
            *(number(row.means.get(key)) for key in ("rouge1", "conflict_any", "kl", "ear_exact")),
            "" if share is None else f"{min(share, 1):.0%}",
        ]


def formats(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Excess over the floor with 95% intervals, mildest first within a family."""
    keys = ("rouge1", "rougeL", "length_similarity", "conflict_any", "top1_agreement", "ear_exact", "kl", "break_loop")
    yield ["row", "ran as", *keys]
    for row in quantized(rows):
        yield [f"`{row.name}`", row.ran_as, *(interval(row.excess.get(key)) for key in keys)]


def size(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """The same format in both models, with the paired difference over prompts (the larger less the smaller)."""
    yield [
        "format",
        "column",
        "smaller model: excess",
        "larger model: excess",
        "larger less smaller, of the column itself",
    ]
    for small, large in SIZES:
        for row in quantized(rows):
            other = rows.get(f"{large}-{row.format}")
            if row.family != small or other is None:
                continue
            for key in ("rouge1", "conflict_any", "top1_agreement", "ear_exact"):
                if key in row.excess and key in other.excess:
                    cells = (row.excess[key], other.excess[key], difference(other, row, key))
                    yield [f"`{row.name}`, `{other.name}`", key, *map(interval, cells)]


def order(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Rank correlation of cheap columns with conflicts and with drops, over formats and models."""
    own = [row for row in quantized(rows) if {"conflict_any", "break_loop"} <= set(row.means)]
    targets: dict[str, Callable[[Row], float]] = {
        "conflicts": lambda row: row.means["conflict_any"],
        "loops": lambda row: row.means["break_loop"],
    }
    if own and all(row.expected for row in own):
        targets["drops"] = lambda row: row.expected["drop"] / max(1, row.expected["baseline"])
    yield [f"column, over {len(own)} rows", *(f"with {name}" for name in targets)]
    for key in CHEAP if len(own) > FEWEST else ():
        if all(key in row.means for row in own):
            drift = [row.means[key] if key == "kl" else 1 - row.means[key] for row in own]
            yield [
                key,
                *(interval(rank_correlation(drift, [target(row) for row in own])) for target in targets.values()),
            ]


def survival(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """The share of answers that are still the baseline's after so many tokens, or the same to their end."""
    yield ["row", *(f"{n:,}" for n in PLACES)]
    for row in rows.values():
        yield [f"`{row.name}`", *(f"{row.survival[n]:.1%}" if n in row.survival else "" for n in PLACES)]


def methods(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """GPTQ against rounding to nearest: the same format, model and prompts."""
    yield ["row", "column", "rounded to nearest", "GPTQ", "GPTQ less rounded (95% interval)"]
    for calibrated in rows.values():
        plain = rows.get(calibrated.name.removesuffix("-gptq"))
        if plain is None or plain is calibrated:
            continue
        for key in ("rouge1", "conflict_any", "break_loop", "top1_agreement", "ear_exact", "kl"):
            if key in plain.values and key in calibrated.values:
                shown = (number(plain.means[key]), number(calibrated.means[key]))
                yield [f"`{calibrated.name}`", key, *shown, interval(difference(calibrated, plain, key))]


def bytes_and_drift(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """What a format saves on disk, and what it changes."""
    yield ["row", "ran as", "bytes", "of BF16", "1 - EAR", "excess of ROUGE-1"]
    for row in quantized(rows):
        base = rows.get(f"{row.family}-floor")
        if row.bytes and base and base.bytes and row.format not in UNCHANGED:
            drift = number(1 - row.means["ear_exact"]) if "ear_exact" in row.means else ""
            ratio = f"{row.bytes / base.bytes:.2f}"
            yield [
                f"`{row.name}`",
                row.ran_as,
                f"{row.bytes / 1e6:.0f} MB",
                ratio,
                drift,
                interval(row.excess.get("rouge1")),
            ]


def expected(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Right and wrong answers among the prompts that have an expected one."""
    yield ["row", "judged", "baseline right", "right", "drops", "gains", "exact McNemar"]
    for row in rows.values():
        if row.expected:
            counts = (f"{row.expected[key]:.0f}" for key in ("n", "baseline", "right", "drop", "gain"))
            yield [f"`{row.name}`", *counts, f"p = {row.expected['p']:.2g}"]


def quantized(rows: Mapping[str, Row]) -> list[Row]:
    """The candidates that differ by their format, mildest first within a family."""
    families = list(dict.fromkeys(row.family for row in rows.values()))
    own = [row for row in rows.values() if not row.floor and row.format not in AXES]
    return sorted(
        own,
        key=lambda row: (
            families.index(row.family),
            row.means.get("kl", 1 - row.means.get("rouge1", row.means["identical"])),
        ),
    )


def difference(one: Row, other: Row, key: str) -> Estimate:
    """The paired difference over the prompts that both have."""
    a, b = one.values[key], other.values[key]
    return estimate({prompt: a[prompt] - b[prompt] for prompt in a if prompt in b})


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def interval(value: Estimate | None) -> str:
    if value is None:
        return ""
    ends = "" if value.low is None or value.high is None else f" ({value.low:+.3f} to {value.high:+.3f})"
    return f"{value.value:+.3f}{ends}"


if __name__ == "__main__":
    main()
