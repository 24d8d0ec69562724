"""`fidelity fill-chats`."""

import argparse
import sys
from pathlib import Path

from fidelity.cli.options import (
    COULD_NOT_JUDGE,
    OK,
    Commands,
    add_limit,
    add_store,
    check_writable,
    open_store,
)
from fidelity.cli.progress import ProgressBar
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError
from fidelity.outside.strings import one_line


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    fill = commands.add_parser("fill-chats", help="answer chats of several turns with a baseline, as prompts for all")
    fill.add_argument("run", type=Path, help="the baseline's YAML file")
    fill.add_argument(
        "chats",
        type=Path,
        metavar="CHATS",
        help='chats with open turns {"role": "assistant"}, or MT-Bench\'s questions',
    )
    fill.add_argument("file", type=Path, metavar="FILE", help="the prompt set to write (.jsonl)")
    add_limit(fill)
    add_store(fill)
    fill.set_defaults(command=_fill, yaml=("run",))


def _fill(chosen: argparse.Namespace) -> int:
    from fidelity.config import load_run
    from fidelity.pipeline.chats import fill_chats
    from fidelity.prompts.chats import load_chats
    from fidelity.runs.export_prompts import prompt_row, write_rows

    if chosen.file.suffix != ".jsonl":
        raise ConfigError(f"{chosen.file}: a prompt set is written as JSONL; give the file the extension .jsonl")
    if chosen.file.resolve() == chosen.chats.resolve():
        raise ConfigError(f"{chosen.file}: would overwrite the chats; choose another path")
    check_writable(chosen.file, "FILE")
    config, chats = load_run(chosen.run), load_chats(chosen.chats, limit=chosen.limit)
    filled = fill_chats(config, chats, store=open_store(chosen.store), listener=ProgressBar(chosen))
    for id_, reason in filled.ended.items():
        echo(f"{one_line(id_)}: the chat ends here: {one_line(reason)}", to=sys.stderr)
    if filled.again:
        echo("fidelity: some turns failed because of the server or the network; run again to ask them", to=sys.stderr)
        return COULD_NOT_JUDGE
    if not filled.prompts:
        raise ConfigError(f"{chosen.chats}: no turn of these chats can be asked, so {chosen.file} was not written")
    write_rows([prompt_row(prompt) for prompt in filled.prompts], chosen.file)
    echo(f"{chosen.file}: {len(filled.prompts)} turns of {len(chats)} chats; use it as 'prompts' of every run")
    return OK
