"""`fidelity store`: `check` names what is damaged and moves it away; `copy` copies a store from or to another place."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, Commands, add_store, open_store
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError

if TYPE_CHECKING:
    from fidelity.store.inventory import Inventory

DAMAGED = 1


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    store = commands.add_parser("store", help="check a store for damaged files, and repair it; copy it")
    actions = store.add_subparsers(required=True, metavar="COMMAND")
    check = actions.add_parser(
        "check", help="read every file and compare it with its checksum; exit code 0 if all are whole, 1 if not"
    )
    check.add_argument(
        "--repair",
        action="store_true",
        help="move what is damaged into the store's quarantine/ and remove what killed commands left; the next "
        "run generates and scores what is missing",
    )
    add_store(check)
    check.set_defaults(command=_check)
    copy = actions.add_parser(
        "copy",
        help="copy a store to or from another folder or a URL such as s3://bucket/folder, without what is there "
        "already; exit code 1 if something was not copied",
    )
    copy.add_argument("source", metavar="FROM", help="the store: a folder, or a URL that fsspec knows")
    copy.add_argument("target", metavar="TO", help="where to copy it: a folder or a URL; one of the two is a folder")
    copy.add_argument(
        "--replace", action="store_true", help="where TO has another content of a run or comparison, replace it"
    )
    copy.set_defaults(command=_copy)


def _check(chosen: argparse.Namespace) -> int:
    from fidelity.store.inventory import check, repair

    store = open_store(chosen.store)
    if not store.root.is_dir():
        raise ConfigError(f"{store.root}: no such directory; give a store with --store DIR")
    result = check(store)
    _print(result, store.root)
    if chosen.repair and (result.damages or result.leftovers):
        quarantine, result = repair(store)
        if quarantine.is_dir():
            echo(f"moved to {quarantine}; delete it when you don't need it")
        _print(result, store.root)
    return DAMAGED if result.damages else OK


def _copy(chosen: argparse.Namespace) -> int:
    from fidelity.outside.strings import one_line
    from fidelity.store.copying import copy_store
    from fidelity.store.places import KINDS, FolderPlace, place_of

    source, target = place_of(chosen.source), place_of(chosen.target)
    if not any(source.folders(kind) for kind in KINDS):
        raise ConfigError(f"{source}: no store is there; give fidelity store copy the folder or URL of one")
    if isinstance(target, FolderPlace):
        open_store(target.root)
    result = copy_store(
        source,
        target,
        replace=chosen.replace,
        on_copied=lambda folder: None if chosen.quiet else echo(one_line(folder)),
    )
    for damage in result.damages:
        echo(f"damaged: {one_line(damage.reason)}")
    for folder in result.in_use:
        echo(f"{one_line(folder)}: not copied: another command is writing it")
    for folder in result.another:
        echo(f"{one_line(folder)}: not copied: {target} has another content; --replace copies it")
    echo(f"{target}: {len(result.copied)} folders copied, {result.unchanged} were there already")
    return DAMAGED if result.damages or result.in_use or result.another else OK


def _print(result: "Inventory", root: Path) -> None:
    from fidelity.outside.strings import one_line

    for damage in result.damages:
        echo(f"{one_line(str(damage.path.relative_to(root)))}: damaged: {one_line(damage.reason)}")
        echo(f"  lost: {one_line(damage.lost)}")
    for path in result.leftovers:
        echo(f"{one_line(str(path.relative_to(root)))}: left by a killed command")
    for path in result.in_use:
        echo(f"{one_line(str(path.relative_to(root)))}: not checked: another command is writing it")
    checked = ", ".join(f"{count} {kind}" for kind, count in result.checked.items())
    echo(f"{root}: {checked}: {len(result.damages)} damaged, {len(result.leftovers)} left by killed commands")
