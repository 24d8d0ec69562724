"""Data sets of the Hugging Face Hub, or a folder of data files, through the package `datasets`."""

import re
from itertools import islice
from pathlib import Path
from typing import Any

from fidelity.errors import ConfigError, MissingPackageError
from fidelity.outside.documents import cleaned
from fidelity.outside.strings import LONGEST_REASON, one_line
from fidelity.prompts.rows import Rows

NAME = re.compile(r"(?P<path>[^:]+)(?::(?P<config>[^:\[\]]+)(?=:))?(?::(?P<split>[^:\[\]]+(?:\[[^\]]*\])?))?")
"""`DATASET`, `DATASET:SPLIT` or `DATASET:CONFIG:SPLIT`; a split can be sliced, as in `train[:100]`."""
SPLITS = ("test", "train")
"""The split that is read if none is named and the data set has several, in the order of preference."""


def read_hub(name: str, *, limit: int | None = None) -> Rows:
    """Read the rows of `DATASET[:CONFIG][:SPLIT]`: a data set's id on the Hub, or a folder of data files.

    Without a split, its only one is read, else `test` or `train`.

    Raises:
        ConfigError: The data set can't be loaded, or has no such split.
        MissingPackageError: `datasets` is not installed.
    """
    parsed = NAME.fullmatch(name)
    if parsed is None:
        raise ConfigError(f"hf:{name}: expected hf:DATASET, hf:DATASET:SPLIT or hf:DATASET:CONFIG:SPLIT")
    rows = _load(parsed["path"], parsed["config"], parsed["split"], name=name)
    return [(f"hf:{name}, row {n}", cleaned(dict(row))) for n, row in enumerate(islice(rows, limit), start=1)]


def local_folder(name: str, folder: Path) -> str:
    """The name of a data set; if it is a folder that exists, with its absolute path."""
    path, colon, rest = name.partition(":")
    return f"{(folder / path).resolve()}{colon}{rest}" if path and (folder / path).is_dir() else name


def _load(path: str, config: str | None, split: str | None, *, name: str) -> Any:
    try:
        from datasets import DatasetDict, load_dataset
    except ImportError as error:
        raise MissingPackageError("datasets", extra="datasets", needed_by=f"hf:{name}") from error
    try:
        data = load_dataset(path, name=config, split=split)
    except Exception as error:  # the library raises many kinds, also those of its readers and of the network
        reason = one_line(f"{type(error).__name__}: {error}", most=LONGEST_REASON)
        raise ConfigError(f"hf:{name}: can't be loaded ({reason})") from error
    if not isinstance(data, DatasetDict):
        return data
    chosen = next(iter(data)) if len(data) == 1 else next((split for split in SPLITS if split in data), None)
    if chosen is None:
        raise ConfigError(f"hf:{name}: has the splits {', '.join(data)}; name one: hf:{name}:{next(iter(data))}")
    return data[chosen]
