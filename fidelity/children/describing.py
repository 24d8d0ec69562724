"""What the processes that hold a model say of themselves: hashes, versions, and the format that most layers ran in."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fidelity.children.wire import LayerCounts, LayerRecord


def versions(*packages: str) -> dict[str, str]:
    """Those of the packages that are installed, with their versions."""
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
    """The format of the largest group of linear layers that are quantized, else of those that aren't."""
    main = [group for group in layers if group["kind"] in ("linear", "experts")]
    for group in sorted(main, key=lambda group: (not group["quantized"], -group["count"])):
        return str(group["format"]) + (" (linear only)" if group["method"].startswith("TorchAO") else "")
    return None


def counts(layers: list[LayerRecord]) -> LayerCounts:
    """How many linear layers and experts are quantized and how many are not, as fields of `EngineInfo`."""
    main = [group for group in layers if group["kind"] in ("linear", "experts")]
    return {
        "quantized_layers": sum(group["count"] for group in main if group["quantized"]),
        "unquantized_layers": sum(group["count"] for group in main if not group["quantized"]),
    }
