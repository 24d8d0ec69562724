"""`fidelity inspect`."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, Commands, write

if TYPE_CHECKING:
    from rich.console import Console

    from fidelity.inspection import Inspection


def add_to(commands: Commands) -> None:
    """Add these commands to the parser's."""
    inspect = commands.add_parser("inspect", help="what a checkpoint is, without loading it, or what a run really ran")
    inspect.add_argument(
        "what", metavar="MODEL_OR_RUN", help="a directory, a GGUF file, a Hub id, or a run's directory"
    )
    inspect.add_argument("--revision", help="the Hub revision")
    inspect.add_argument(
        "--no-kernels", action="store_true", help="don't ask this machine's vLLM (a quarter of a minute)"
    )
    inspect.add_argument("--json", type=Path, metavar="FILE", help="write what was found as JSON")
    inspect.set_defaults(command=_inspect)


def _inspect(chosen: argparse.Namespace) -> int:
    from rich.console import Console

    from fidelity.inspection import as_json, inspect

    found = inspect(chosen.what, revision=chosen.revision, ask_vllm=not chosen.no_kernels)
    if chosen.json:
        write(chosen.json, json.dumps(as_json(found), indent=2, ensure_ascii=False) + "\n")
    _show(found, Console())
    return OK


def _show(found: "Inspection", console: "Console") -> None:
    """The checkpoint, its layers, vLLM's kernels, and what ran: as far as each is known."""
    from rich.table import Table
    from rich.text import Text

    def say(text: str) -> None:
        console.print(Text(text))

    if anatomy := found.anatomy:
        bits, cache = anatomy.bits_per_weight, anatomy.kv_cache
        facts = {
            "format": anatomy.checkpoint.format,
            "architecture": anatomy.architecture,
            "parameters": f"{anatomy.checkpoint.parameters:,}" if anatomy.checkpoint.parameters else None,
            "bytes": f"{anatomy.checkpoint.bytes:,}" if anatomy.checkpoint.bytes else None,
            "bits per weight": f"{bits:.2f}" if bits else None,
            "KV cache": cache and f"{cache.bytes_per_token:,} bytes a token ({cache.counted})",
            "activations": anatomy.activations,
            "vocabulary": anatomy.vocabulary,
            "context": anatomy.context,
            "embeddings": anatomy.tied_embeddings and "shared with lm_head",
            "chat template": anatomy.chat_template or "none",
            "left unquantized": ", ".join(anatomy.unquantized) or "nothing",
        }
        for name, fact in facts.items():
            say(f"{name:>16}  {'not said' if fact is None else fact}")
        layers = Table("layers", "scheme", "count", "parameters", "bytes", "bits", show_edge=False, pad_edge=False)
        for part in anatomy.parts:
            wide = part.bits_per_weight
            cells = (part.kind, part.scheme, part.layers, f"{part.parameters:,}", f"{part.bytes:,}")
            layers.add_row(*(Text(str(cell)) for cell in cells), f"{wide:.2f}" if wide else "-")
        if anatomy.checkpoint.bytes and anatomy.parts:
            layers.add_row("file headers", "", "", "", f"{anatomy.checkpoint.bytes - anatomy.tensor_bytes:,}", "")
        console.print(layers)
    for pick in found.picks or ():
        answer = f"{pick.kernel or 'no kernel'}{': ' if pick.note else ''}{pick.note or ''}"
        say(f"vLLM here, for {pick.stored.kind} in {pick.stored.scheme}: {answer}")
    if ran := found.ran:
        for name in ("kind", "version", "device", "mode", "dtype", "ran_as", "attention", "kv_cache"):
            say(f"{name:>16}  {getattr(ran, name) or 'unknown'}")
        for group in ran.layers:
            say(f"{group.kind:>16}  {group.count} x {group.format}, {group.kernel or group.method}")
        for note in ran.notes:
            say(f"            note  {note}")
