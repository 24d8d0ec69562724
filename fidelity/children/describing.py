"""Describing a loaded model: hashes, versions, and the format that most layers ran in."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fidelity.children.wire import LayerCounts, LayerRecord


def versions(*packages: str) -> dict[str, str]:
    """The versions of those packages that are installed."""
    installed = {}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def fingerprint(value: Any) -> str:
    """A short hash of plain data, such as a vocabulary or a chat template."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def ran_as(layers: list[LayerRecord]) -> str | None:
    """The format of the largest group of quantized linear layers, else of unquantized ones."""
    main = [group for group in layers if group["kind"] in ("linear", "experts")]
    for group in sorted(main, key=lambda group: (not group["quantized"], -group["count"])):
        return str(group["format"]) + (" (linear only)" if group["method"].startswith("TorchAO") else "")
    return None


def counts(layers: list[LayerRecord]) -> LayerCounts:
    """The numbers of quantized and unquantized linear layers and experts, as fields of `EngineInfo`."""
    main = [group for group in layers if group["kind"] in ("linear", "experts")]
    return {
        "quantized_layers": sum(group["count"] for group in main if group["quantized"]),
        "unquantized_layers": sum(group["count"] for group in main if not group["quantized"]),
    }
