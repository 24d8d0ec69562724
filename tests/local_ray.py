"""A Ray cluster on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


def set_environment(patch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Nodes and commands import from `paths` and this checkout, notice lost nodes early, and report nothing."""
    known = [*map(str, paths), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    patch.setenv("PYTHONPATH", os.pathsep.join(known))
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_health_check_period_ms", "500")
    patch.setenv("RAY_health_check_failure_threshold", "4")


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Two nodes with one core each, and a head without any."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(2)]
        yield cluster
    finally:
        cluster.shutdown()
