"""`fidelity inspect`."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fidelity.cli.options import COULD_NOT_JUDGE, OK, STANDARD_OUTPUT, Commands, add_json, number, write
from fidelity.cli.terminal import open_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from fidelity.checkpoints import Anatomy, Contrast
    from fidelity.inspection import Inspection
    from fidelity.records import EngineInfo


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    inspect = commands.add_parser(
        "inspect", help="show a checkpoint's format without loading it, what a run used, or how two checkpoints differ"
    )
    inspect.add_argument(
        "what", metavar="MODEL_OR_RUN", help="a directory, a GGUF file, a Hub id, or a run's directory"
    )
    inspect.add_argument("other", metavar="QUANTIZED", nargs="?", help="a second checkpoint, to compare with the first")
    inspect.add_argument("--revision", help="the Hub revision")
    inspect.add_argument(
        "--no-kernels", action="store_true", help="don't ask the installed vLLM which kernels it would use (saves 15 s)"
    )
    inspect.add_argument(
        "--memory",
        type=number,
        metavar="GB",
        help="of a device: how many requests of each use case fit besides the weights",
    )
    add_json(inspect, "the result")
    inspect.set_defaults(command=_inspect)


def _inspect(chosen: argparse.Namespace) -> int:
    from fidelity.inspection import as_json, contrast_json, contrast_of, inspect

    console = open_console(quiet=chosen.json == STANDARD_OUTPUT)
    names = [name for name in (chosen.what, chosen.other) if name is not None]
    alone = len(names) == 1
    inspection = [inspect(name, revision=chosen.revision, ask_vllm=alone and not chosen.no_kernels) for name in names]
    data: Any = as_json(inspection[0])
    if alone:
        _show(inspection[0], console)
        if fitting := _fitting(inspection[0], chosen.memory):
            data["requests_that_fit"] = fitting
            _show_fitting(fitting, chosen.memory, console)
    else:
        differences = contrast_of(*names, revision=chosen.revision)
        data = {"checkpoints": [as_json(one) for one in inspection], "differences": contrast_json(differences)}
        _show_two(inspection, differences, console)
    if chosen.json:
        write(chosen.json, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    for one in inspection:
        if one.fault:
            console.print(f"contradiction: {one.fault}", style="bold red", markup=False, highlight=False)
    return COULD_NOT_JUDGE if any(one.fault for one in inspection) else OK


def _fitting(inspection: "Inspection", gigabytes: float | None) -> dict[str, int] | None:
    from fidelity.inspection import requests_that_fit

    anatomy = inspection.anatomy
    if not gigabytes or not anatomy or not anatomy.kv_cache or not anatomy.checkpoint.bytes:
        return None
    return requests_that_fit(
        memory=round(gigabytes * 1e9),
        weights=anatomy.checkpoint.bytes,
        bytes_per_token=anatomy.kv_cache.bytes_per_token,
    )


def _show_fitting(fitting: Mapping[str, int], gigabytes: float, console: "Console") -> None:
    from rich.text import Text

    counts = ", ".join(f"{name} {count:,}" for name, count in fitting.items())
    console.print(
        Text(
            f"Requests that fit into {gigabytes:g} GB besides the weights, before activations and CUDA graphs: {counts}"
        )
    )


def _show_two(inspections: "Sequence[Inspection]", differences: "Sequence[Contrast]", console: "Console") -> None:
    """Print both checkpoints, their differences, and whether a comparison could separate these from drift."""
    from rich.table import Table
    from rich.text import Text

    table = Table("", show_edge=False, pad_edge=False)
    for one in inspections:
        table.add_column(Text(one.name))
    for name in _facts(inspections[0].anatomy) if inspections[0].anatomy else ():
        cells = [str(_facts(one.anatomy).get(name) or "not stated") if one.anatomy else "" for one in inspections]
        if name in ("format", "bytes", "bits per weight", "KV cache", "parameters"):
            table.add_row(name, *(Text(cell.partition(" (")[0] if name == "KV cache" else cell) for cell in cells))
    for difference in differences:
        mark = " (*)" if difference.inconclusive else ""
        table.add_row(*map(Text, (difference.what + mark, difference.baseline, difference.other)))
    console.print(table)
    marked = [difference.what for difference in differences if difference.inconclusive]
    summary = (
        f"(*) {len(marked)} of these can't be separated from drift: a fail would be inconclusive unless you declare "
        f"them (compares: template, finetune, ...)"
        if marked
        else "only the format of the weights differs"
    )
    console.print(Text(summary))


def _facts(anatomy: "Anatomy") -> dict[str, object]:
    """A checkpoint's properties by name; None where its files don't state one."""
    checkpoint, bits, cache = anatomy.checkpoint, anatomy.bits_per_weight, anatomy.kv_cache
    known = (cache.fault or f"scales: {cache.scales}") if cache and cache.scales else ""
    return {
        "format": checkpoint.format,
        "composition": checkpoint.composition or checkpoint.format,
        "architecture": anatomy.architecture,
        "parameters": f"{checkpoint.parameters:,}" if checkpoint.parameters else None,
        "bytes": f"{checkpoint.bytes:,}" if checkpoint.bytes else None,
        "bits per weight": f"{bits:.2f}" if bits else None,
        "KV cache": cache
        and f"{cache.bytes_per_token:,} bytes per token in {cache.dtype} ({cache.counted}){known and '; '}{known}",
        "activations": anatomy.activations,
        "sparsity": anatomy.sparsity or "none",
        "vocabulary": anatomy.vocabulary,
        "context": anatomy.context,
        "embeddings": _embeddings(anatomy),
        "chat template": anatomy.chat_template or "none",
        "left unquantized": ", ".join(anatomy.unquantized) or "nothing",
    }


def _embeddings(anatomy: "Anatomy") -> str | None:
    """The schemes of embeddings and lm_head, and whether they are shared."""
    schemes = {stored.kind: stored.scheme for stored in anatomy.parts if stored.kind in ("embedding", "lm_head")}
    if not schemes:
        return None
    words = ", ".join(f"{kind} {scheme}" for kind, scheme in schemes.items())
    return words + (", shared with lm_head" if anatomy.tied_embeddings else "")


def _show(inspection: "Inspection", console: "Console") -> None:
    """Print the checkpoint, its layers, vLLM's kernels, and what ran, as far as each is known."""
    from rich.text import Text

    if anatomy := inspection.anatomy:
        for line in _aligned(_facts(anatomy), unknown="not stated"):
            console.print(Text(line))
        console.print(_layer_table(anatomy))
        for note in anatomy.notes:
            console.print(Text(f"{'note':>16}  {note}"))
    for pick in inspection.picks or ():
        answer = f"{pick.kernel or 'no kernel'}{': ' if pick.note else ''}{pick.note or ''}"
        console.print(Text(f"vLLM here, for {pick.stored.kind} in {pick.stored.scheme}: {answer}"))
    if ran := inspection.ran:
        for line in _what_ran(ran):
            console.print(Text(line))


def _aligned(facts: Mapping[str, object], *, unknown: str) -> Iterator[str]:
    return (f"{name:>16}  {unknown if fact is None else fact}" for name, fact in facts.items())


def _layer_table(anatomy: "Anatomy") -> "Table":
    from rich.table import Table
    from rich.text import Text

    layers = Table("layers", "scheme", "count", "parameters", "bytes", "bits", show_edge=False, pad_edge=False)
    for stored in anatomy.parts:
        wide, count = stored.bits_per_weight, f"{stored.parameters:,}" if stored.parameters else "-"
        cells = (stored.kind, stored.scheme, stored.layers, count, f"{stored.bytes:,}")
        layers.add_row(*(Text(str(cell)) for cell in cells), f"{wide:.2f}" if wide else "-")
    if anatomy.kv_scale_bytes:
        layers.add_row("KV-cache scales", "", "", "", f"{anatomy.kv_scale_bytes:,}", "")
    if anatomy.checkpoint.bytes and anatomy.parts:
        layers.add_row("file headers", "", "", "", f"{anatomy.checkpoint.bytes - anatomy.tensor_bytes:,}", "")
    return layers


def _what_ran(ran: "EngineInfo") -> Iterator[str]:
    names = ("kind", "version", "device", "mode", "dtype", "ran_as", "attention", "kv_cache")
    yield from _aligned({name: getattr(ran, name) or None for name in names}, unknown="unknown")
    for group in ran.layers:
        yield f"{group.kind:>16}  {group.count} x {group.format}, {group.kernel or group.method}"
    for note in ran.notes:
        yield f"{'note':>16}  {note}"
