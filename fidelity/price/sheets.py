"""Price sheets from JSON reports and stores: those of one device and baseline make one sheet."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fidelity.errors import ConfigError
from fidelity.outside.documents import read_document
from fidelity.store.price_sheets import FOLDER, LoadPoint, PricedServer, PriceSheet, read_sheets
from fidelity.store.record_files import wrong_keys


def load_sheet(sources: Sequence[Path], *, gpu: str | None = None, baseline: str | None = None) -> PriceSheet:
    """Read price sheets and merge them into one.

    Turns of different files are different turns, so points are only paired with points of their own file.

    Args:
        sources: JSON files of `fidelity price --json`, folders with such files, or stores.
        gpu: The device, or a part of its name in any case ("H200", "2 × NVIDIA H200"). Default: the only one.
        baseline: The baseline's name. Default: the only one.

    Raises:
        ConfigError: There is no sheet, or they are of several devices or baselines, or differ in the length of a use
            case or in `spread`; or `gpu` is empty, which is a part of every name.
        StoreError: A store's sheet is damaged.
    """
    if gpu is not None and not gpu.strip():
        raise ConfigError("--gpu: the name is empty; give a part of the device's name, as H200")
    sheets = [sheet for source in sources for sheet in _sheets_in(source)]
    where = ", ".join(map(str, sources))
    if not sheets:
        raise ConfigError(
            f"{where}: no price under load; measure it with fidelity price --json FILE, or give its store"
        )
    chosen = sheets if gpu is None else _on(gpu, sheets)
    if not chosen:
        raise ConfigError(f"--gpu {gpu}: nothing was measured on it; there is {_listed(sheets)}")
    if len({_devices(sheet) for sheet in chosen}) > 1:
        raise ConfigError(f"{where}: measured on several devices; choose one with --gpu: {_listed(chosen)}")
    chosen = [sheet for sheet in chosen if baseline in (None, sheet.baseline)]
    names = dict.fromkeys(sheet.baseline for sheet in (chosen or sheets))
    if len(names) > 1 or not chosen:
        raise ConfigError(f"{where}: name the baseline with --baseline; there is {', '.join(names)}")
    if not any(sheet.baseline in sheet.servers for sheet in chosen):
        raise ConfigError(f"{where}: the baseline {chosen[0].baseline} has no server; measure it, too")
    return merged(chosen)


def merged(sheets: Sequence[PriceSheet]) -> PriceSheet:
    """One sheet with the points of all, which have one baseline. A turn that several of them have counts once.

    Raises:
        ConfigError: They differ in the length of a use case, in `spread`, or in what ran under a name.
    """
    whole = sheets[0]
    for sheet in sheets[1:]:
        for run in sheet.servers.keys() & whole.servers.keys():
            for a, b in zip(*(_what_ran(each.servers[run]) for each in (whole, sheet)), strict=True):
                if a and b and a != b:
                    raise ConfigError(f"{run} is {a} in one price sheet and {b} in another; give one of them")
        lengths = {name: tuple(tokens) for name, tokens in whole.use_cases.items()}
        if any(lengths.get(name, tuple(tokens)) != tuple(tokens) for name, tokens in sheet.use_cases.items()):
            raise ConfigError(
                "price sheets with other lengths of the same use case can't be compared; give one of them"
            )
        if sheet.spread != whole.spread and _is_async(sheet) and _is_async(whole):
            raise ConfigError("price sheets with another --spread can't be compared; give one of them")
        first = 1 + max((point.turn for point in whole.points), default=-1)
        known = set(_turns(whole).values())
        new = [turn for turn, points in _turns(sheet).items() if points not in known]
        later = [point.replace(turn=point.turn + first) for point in sheet.points if point.turn in new]
        whole = whole.replace(
            servers={**sheet.servers, **whole.servers},
            use_cases={**whole.use_cases, **sheet.use_cases},
            spread=whole.spread if _is_async(whole) else sheet.spread,
            points=(*whole.points, *later),
        )
    return whole


def _turns(sheet: PriceSheet) -> dict[int, frozenset[LoadPoint]]:
    """What was measured in each turn, without the turn's number."""
    turns: dict[int, set[LoadPoint]] = {}
    for point in sheet.points:
        turns.setdefault(point.turn, set()).add(point.replace(turn=0))
    return {turn: frozenset(points) for turn, points in turns.items()}


def _sheets_in(source: Path) -> Iterator[PriceSheet]:
    if source.is_file():
        yield _from_json(source, required=True)
        return
    if not source.is_dir():
        raise ConfigError(f"{source}: no such file or folder")
    if (source / FOLDER).is_dir():
        yield from read_sheets(source)
    for file in sorted(source.glob("*.json")):
        if sheet := _from_json(file, required=False):
            yield sheet


def _from_json(file: Path, *, required: bool) -> Any:
    """The sheet of a JSON report; None if the file is something else and isn't required to be one."""
    try:
        content = read_document(file)
        return PriceSheet.model_validate(content["sheet"])
    except (OSError, ValueError, RecursionError, TypeError, KeyError) as error:
        if not required and not isinstance(error, ValidationError):
            return None
        why = "no JSON of fidelity price"
        if isinstance(error, ValidationError):
            why = f"a damaged sheet ({wrong_keys(error)})"
        raise ConfigError(f"{file}: {why}; write it with fidelity price --json FILE") from error


def _devices(sheet: PriceSheet) -> tuple[str, ...]:
    return tuple(dict.fromkeys(server.hardware for server in sheet.servers.values()))


def _on(gpu: str, sheets: Sequence[PriceSheet]) -> list[PriceSheet]:
    """What the sheets have of a device, by its whole name, else by a part of it."""
    wanted = gpu.casefold()
    named = {device: device.casefold() for sheet in sheets for device in _devices(sheet)}
    matching = {device for device, name in named.items() if wanted in name}
    own = {device for device in matching if named[device] == wanted} or matching
    servers_of = [{run: s for run, s in sheet.servers.items() if s.hardware in own} for sheet in sheets]
    return [
        sheet.replace(servers=servers, points=tuple(point for point in sheet.points if point.run in servers))
        for sheet, servers in zip(sheets, servers_of, strict=True)
        if servers
    ]


def _what_ran(server: PricedServer) -> tuple[str | None, ...]:
    return Path(server.model).name, server.format, server.mode, server.version and f"vLLM {server.version}"


def _is_async(sheet: PriceSheet) -> bool:
    return any(point.mode == "async" for point in sheet.points)


def _listed(sheets: Sequence[PriceSheet]) -> str:
    return ", ".join(dict.fromkeys(device for sheet in sheets for device in _devices(sheet)))
