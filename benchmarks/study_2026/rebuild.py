"""The tables and charts of docs/study-2026.md and docs/study-2026-cpu.md, rebuilt from the exported runs.

    python benchmarks/study_2026/rebuild.py [--store STORE] [--families s,sl] [--scored] [--check]

Compares the exported runs (with --scored, a STORE that has all comparisons is only read), and writes the tables between
the pages' marks and the charts to docs/images/. With --check nothing is written, and the exit code is 1 if a table of
a page differs from the rebuilt one. Charts need `altair[save]`.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import mkdtemp
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))  # also where it is imported by its path
from measures import PLACES, ROOT, Estimate, Numbers, Row, estimate, rank_correlation

from fidelity.cli import main as fidelity

RESULTS = ROOT / "docs" / "results"
STUDY = RESULTS / "2026-study" / "study.yaml"
TOKENS = RESULTS / "2026-study" / "tokens.parquet"
READINGS = RESULTS / "2026-study" / "read.csv"
PAGES = tuple(ROOT / "docs" / f"{name}.md" for name in ("study-2026", "study-2026-cpu"))
OF_ALL = ("order", "cpu_order")
"""Tables that are about all families together."""
CPU = ("c", "cg")
"""Families with other prompts and shorter answers than the rest."""
AXES = ("compiled", "fp16", "fp32", "padded")
"""Candidates that are not quantized: only the engine differs."""
UNCHANGED = ("kv-fp8", "8da4w")
"""Formats that are made while loading, so the checkpoint's bytes are the baseline's."""
PADDED = ("c-w4a16-g128",)
"""Rows with the padded model's bytes, next to a baseline that isn't padded."""
PAIRS = (
    ("w4a16-g64-gptq", "w4a16-g64"),
    ("w4a16-g32-gptq", "w4a16-g32"),
    ("w4a16-g32", "w4a16-g64"),
    ("w4a16-g128", "w4a16-g64"),
    ("w4a16-g32-gptq", "w4a16-g64-gptq"),
    ("8da4w", "w4a16-g32"),
    ("nvfp4a16", "w4a16-g128"),
    ("nvfp4a16", "w4a16-g64-gptq"),
    ("w4a8-fp8", "w4a16-g128"),
    ("q4-k-m", "q8-0"),
)
"""Two formats of a family, compared prompt by prompt: by method, group size, type of the weights, activations."""
FEWEST = 3
"""With so few rows or fewer, a rank correlation has no meaning."""
SIZES = ("s", "g")
"""The smaller and the larger model, by family."""
METRICS = ("identical", "prefix_agreement", "first_divergence", "rouge", "length", "conflicts", "breaks", "expected")
CHEAP = ("identical", "prefix_agreement", "rouge1", "length_similarity", "sts", "top1_agreement", "ear_exact", "kl")
TOKENS_SHOWN = (("kl", 5), ("ear_exact", 3), ("top1_agreement", 3), ("sure_flips", 4), ("sts", 3), ("rouge1", 3))
"""Columns of the table of token scores, with decimal places."""
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
    tables = {
        name: t for name, t in tables_of(numbers.rows).items() if not chosen.families or (t and name not in OF_ALL)
    }
    if chosen.check:
        if wrong := differing(pages(), tables):
            sys.exit(f"these tables differ: {', '.join(wrong)}")
        print(f"all {sum(map(bool, tables.values()))} tables equal the pages'")
        return
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    if chosen.charts:
        from charts import draw

        draw(numbers.rows, ROOT / "docs" / "images")


def pages() -> str:
    """The text of both pages."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def families_of() -> tuple[str, ...]:
    """The families of the study, in its order, by the baseline's name without its format."""
    return tuple(map(family_of, studied()))


def studied() -> list[dict[str, Any]]:
    families: list[dict[str, Any]] = yaml.safe_load(STUDY.read_text(encoding="utf-8"))["families"]
    return families


def family_of(family: Mapping[str, Any]) -> str:
    return str(family["baseline"]["name"]).removesuffix("-bf16")


def compare(store: Path, families: Sequence[str]) -> None:
    """Compare the exported runs of some families, by a copy of the study's file with paths that lead to them."""
    store.mkdir(parents=True, exist_ok=True)
    own = [family for family in studied() if family_of(family) in families]
    for run in (run for family in own for run in (family["baseline"], *family["candidates"])):
        run["engine"]["path"] = str(STUDY.parent / run["engine"]["path"])
    copy = store / "study.yaml"
    copy.write_text(json.dumps({"name": "2026-study", "metrics": METRICS, "families": own}), encoding="utf-8")
    fidelity(["study", str(copy), "--store", str(store)])


def tables_of(rows: Mapping[str, Row]) -> dict[str, str]:
    """Every table by name, as Markdown. Rows are in the order of the families and their names."""
    gpu = {name: row for name, row in rows.items() if row.family not in CPU}
    cpu = {name: row for name, row in rows.items() if row.family in CPU}
    made = {name: markdown(list(lines(gpu))) for name, lines in GPU_TABLES.items()}
    return made | {f"cpu_{name}": markdown(list(lines(cpu))) for name, lines in CPU_TABLES.items()}


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
        "most that noise explains",
    ]
    for row in rows.values():
        floor = rows.get(f"{row.family}-floor")
        share = None
        if floor and not row.floor and row.means.get("identical", 1) < 1:
            share = (1 - floor.means["identical"]) / (1 - row.means["identical"])
        yield [
            f"`{row.name}`",
            ", ".join(filter(None, (row.ran_as, row.mode))),
            number(row.means.get("identical")),
            f"{row.first:.0f}",
            *(number(row.means.get(key)) for key in ("rouge1", "conflict_any")),
            "" if share is None else f"{min(share, 1):.0%}",
        ]


def formats(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Excess over the floor with 95% intervals, mildest first within a family."""
    keys = ("rouge1", "rougeL", "length_similarity", "conflict_any", "break_loop")
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
    small, large = SIZES
    for row in quantized(rows):
        other = rows.get(f"{large}-{row.format}")
        if row.family != small or other is None:
            continue
        for key in ("rouge1", "conflict_any", "ear_exact"):
            if key in row.excess and key in other.excess:
                cells = (row.excess[key], other.excess[key], difference(other, row, key))
                yield [f"`{row.name}`, `{other.name}`", key, *map(interval, cells)]


def order(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Rank correlation of each column with conflicts, loops, drops and wrong answers, over rows that have them all."""
    own = [
        row for row in rows.values() if not row.floor and {"kl", "sts", "break_loop"} <= set(row.means) and row.expected
    ]
    targets: dict[str, Callable[[Row], float]] = {
        "conflicts": lambda row: row.means["conflict_any"],
        "new loops": lambda row: row.means["break_loop"],
        "drops": lambda row: row.expected["drop"] / row.expected["baseline"],
        "wrong answers": lambda row: 1 - row.expected["right"] / row.expected["n"],
    }
    yield [f"column, over {len(own)} rows", *(f"with {name}" for name in targets)]
    for key in CHEAP if len(own) > FEWEST else ():
        drift = [row.means[key] if key == "kl" else 1 - row.means[key] for row in own]
        yield [
            key,
            *(interval(rank_correlation(drift, [target(row) for row in own])) for target in targets.values()),
        ]


def tokens(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """What every token's distribution and the meaning of the answers change, mildest first within a family."""
    yield ["row", "exact KL, nats", "EAR", "top-1", "sure flips", "STS", "ROUGE-1", "excess of EAR", "excess of STS"]
    floors = [row for row in rows.values() if row.floor]
    for row in [*floors, *quantized(rows, axes=True)]:
        if "sts" in row.means or "kl" in row.means:
            shown = (number(row.means.get(key), places) for key, places in TOKENS_SHOWN)
            yield [f"`{row.name}`", *shown, *(interval(row.excess.get(key)) for key in ("ear_exact", "sts"))]


def engine(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """What changes if only the engine does: nothing is quantized."""
    yield [
        "row",
        "ran as",
        "same answers",
        "ROUGE-1",
        "conflicts",
        "exact KL, nats",
        "excess of ROUGE-1",
        "drops",
        "gains",
    ]
    for row in rows.values():
        if row.format in AXES or (row.floor and f"{row.family}-{AXES[0]}" in rows):
            counts = [f"{row.expected[key]:.0f}" if row.expected else "" for key in ("drop", "gain")]
            yield [
                f"`{row.name}`",
                ", ".join(filter(None, (row.ran_as, row.mode))),
                *(number(row.means.get(key)) for key in ("identical", "rouge1", "conflict_any")),
                number(row.means.get("kl"), 5),
                interval(row.excess.get("rouge1")),
                *counts,
            ]


def survival(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """The share of answers that are still the baseline's after so many tokens, or the same to their end."""
    yield ["row", *(f"{n:,}" for n in PLACES)]
    for row in rows.values():
        yield [f"`{row.name}`", *(f"{row.survival[n]:.1%}" if n in row.survival else "" for n in PLACES)]


def methods(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """Two formats of the same model and prompts: another method, another group size, other activations."""
    yield ["row", "against", "column", "the row", "the other", "difference (95% interval)"]
    families = dict.fromkeys(row.family for row in rows.values())
    for one, other in ((rows.get(f"{f}-{a}"), rows.get(f"{f}-{b}")) for f in families for a, b in PAIRS):
        for key in ("rouge1", "sts", "conflict_any", "ear_exact", "kl") if one and other else ():
            if key in one.values and key in other.values:
                shown = (number(one.means[key]), number(other.means[key]))
                yield [f"`{one.name}`", f"`{other.name}`", key, *shown, interval(difference(one, other, key))]


def read(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """What a reader of ten answers found in three formats, next to the columns of the same answers."""
    yield ["prompt", "row", "the answer", "by eye", "STS", "ROUGE-1", "conflict", "new loop", "expected"]
    for one in readings():
        if not (row := rows.get(one["row"])):
            continue
        values = {name: own.get(one["prompt"]) for name, own in row.every.items()}
        flags = ("yes" if values.get(name) else "" for name in ("conflict_any", "break_loop"))
        dropped = values.get("drop")
        right = "" if dropped is None else "dropped" if dropped else "right"
        shown = [number(values.get("sts"), 2), number(values.get("rouge1"), 2), *flags, right]
        prompt = one["prompt"] if "-" in one["prompt"] else one["prompt"][:8]  # Arena-Hard's ids are 32 digits
        yield [f"`{prompt}`", f"`{one['row']}`", one["what"], one["by_eye"] or "-", *shown]


def agreement(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """How often a column and the reader agree, by format."""
    yield [
        "row",
        "worse by eye",
        "STS: worse, others",
        "conflicts, of these worse",
        "new loops, of these worse",
        "drops, of these worse",
    ]
    judged = [one for one in readings() if one["by_eye"]]
    for name in dict.fromkeys(one["row"] for one in judged):
        if row := rows.get(name):
            own = {one["prompt"]: one["by_eye"] == "worse" for one in judged if one["row"] == name}
            sts = {p: row.every["sts"][p] for p in own if p in row.every["sts"]}
            groups = [[sts[p] for p in sts if own[p] is worse] for worse in (True, False)]
            meaning = ", ".join(number(fmean(group), 2) for group in groups) if all(groups) else ""
            counts = []
            for column in ("conflict_any", "break_loop", "drop"):
                scored = {p: flag for p in own if (flag := row.every.get(column, {}).get(p)) is not None}
                raised = [p for p in scored if scored[p]]
                counts.append(f"{len(raised)}, {sum(own[p] for p in raised)}" if scored else "")
            yield [f"`{name}`", f"{sum(own.values())} of {len(own)}", meaning, *counts]


def readings() -> list[dict[str, str]]:
    """The reader's table: prompt, row, judgment against the baseline's answer, and what the answer is."""
    with READINGS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def bytes_and_drift(rows: Mapping[str, Row]) -> Iterator[list[str]]:
    """What a format saves on disk, and what it changes."""
    yield ["row", "ran as", "bytes", "of BF16", "1 - EAR", "excess of ROUGE-1"]
    for row in quantized(rows):
        base = rows.get(f"{row.family}-floor")
        if row.bytes and base and base.bytes and row.format not in UNCHANGED and row.name not in PADDED:
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


CPU_TABLES = {
    "noise": noise,
    "engine": engine,
    "formats": formats,
    "tokens": tokens,
    "order": order,
    "methods": methods,
    "expected": expected,
    "bytes": bytes_and_drift,
    "read": read,
    "agreement": agreement,
}
GPU_TABLES = {**CPU_TABLES, "size": size, "survival": survival}


def quantized(rows: Mapping[str, Row], *, axes: bool = False) -> list[Row]:
    """The candidates that differ by their format, with `axes` also the others, mildest first within a family."""
    families = list(dict.fromkeys(row.family for row in rows.values()))
    own = [row for row in rows.values() if not row.floor and (axes or row.format not in AXES)]
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


def number(value: float | None, places: int = 3) -> str:
    return "" if value is None else f"{value:.{places}f}"


def interval(value: Estimate | None) -> str:
    if value is None:
        return ""
    ends = "" if value.low is None or value.high is None else f" ({value.low:+.3f} to {value.high:+.3f})"
    return f"{value.value:+.3f}{ends}"


if __name__ == "__main__":
    main()
