"""Errors in a checkpoint, detected before loading, since an engine would crash or read garbage."""

import re
from collections.abc import Mapping
from pathlib import Path

from fidelity.checkpoints.config import ModelJson, count, read_config, text_of
from fidelity.checkpoints.resolution import resolve
from fidelity.checkpoints.source import pickled_weights
from fidelity.checkpoints.tensors import Tensor, read_index, read_weights, safetensors_header, weight_files
from fidelity.errors import ConfigError

AGAIN = "download the checkpoint again"


def refuse_faults(checkpoint: Path, *, allow_pickle: bool = False) -> None:
    """Check that a checkpoint's files are complete and consistent.

    Raises:
        ConfigError: Files are missing or truncated, contradict each other, or would have to be unpickled.
    """
    if checkpoint.is_file():
        _refuse_missing_gguf(checkpoint)
        read_weights(checkpoint)
        return
    config = read_config(checkpoint)
    _refuse_missing_files(checkpoint)
    files = weight_files(checkpoint)
    for file in files:
        size = safetensors_header(file).size
        if file.stat().st_size < size:
            raise ConfigError(f"{file}: truncated: it has {file.stat().st_size} of its {size} bytes; {AGAIN}")
    pickles = [file.name for file in pickled_weights(checkpoint)]
    if not files and pickles and not allow_pickle:
        raise ConfigError(
            f"{checkpoint}: its weights are Python pickles ({pickles[0]}), which can run code when read; convert "
            f"them to safetensors, or allow them with engine: {{allow_pickle: true}}"
        )
    if files:
        weights = read_weights(checkpoint)
        if faults := resolve(config, weights).faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise ConfigError(f"{checkpoint}: {faults[0]}{more}")
        _refuse_another_vocabulary(checkpoint, config, weights.tensors)


def _refuse_missing_files(checkpoint: Path) -> None:
    """The expected files: by the index, else by the numbers in their names (`model-00001-of-00003.safetensors`)."""
    expected: set[str] = set()
    if index := read_index(checkpoint):
        expected = set(index.values())
    else:
        for file in weight_files(checkpoint):
            if numbered := re.fullmatch(r"(.+-)\d+-of-(\d{1,6})\.safetensors", file.name):
                total = numbered[2]
                every = range(1, int(total) + 1)
                expected |= {f"{numbered[1]}{n:0{len(total)}d}-of-{total}.safetensors" for n in every}
    _refuse_missing(checkpoint, expected)


def _refuse_missing_gguf(file: Path) -> None:
    if numbered := re.fullmatch(r"(.+-)\d{5}-of-(\d{5})\.gguf", file.name):
        every = range(1, int(numbered[2]) + 1)
        _refuse_missing(file.parent, {f"{numbered[1]}{n:05d}-of-{numbered[2]}.gguf" for n in every})


def _refuse_missing(folder: Path, expected: set[str]) -> None:
    if missing := sorted(name for name in expected if not (folder / name).is_file()):
        raise ConfigError(
            f"{folder}: {len(missing)} of its {len(expected)} weight files are missing ({', '.join(missing[:3])}); "
            f"{AGAIN}"
        )


def _refuse_another_vocabulary(checkpoint: Path, config: ModelJson, tensors: Mapping[str, Tensor]) -> None:
    stated = count(text_of(config), "vocab_size")
    for name, tensor in tensors.items():
        if name.endswith("embed_tokens.weight") and stated and tensor.shape and tensor.shape[0] < stated:
            raise ConfigError(
                f"{checkpoint}: {name} has {tensor.shape[0]} rows, but config.json has vocab_size {stated}: they "
                f"belong to different models"
            )
