"""Scoring on a Ray cluster: each chunk of pairs is a task, which Ray places and starts again if its node is lost."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from fidelity.comparison.batches import PairChunk, Scored
from fidelity.errors import FidelityError
from fidelity.outside.ray_cluster import connected

RETRIES = 3
"""As often a chunk is scored again after the death of its process or node."""


def scored_on_cluster(chunks: Iterator[PairChunk], address: str) -> Iterator[Scored]:
    """The columns of each chunk, in order. Twice as many chunks as the cluster has cores are on their way.

    Raises:
        MissingPackageError: Ray is not installed.
        FidelityError: There is no cluster, it has no cores, or it lost a chunk again and again.
    """
    ray = connected(address, option=f"--workers ray:{address}")
    cores = int(ray.cluster_resources().get("CPU", 0))
    if not cores:
        raise FidelityError(f"--workers ray:{address}: the cluster's nodes offer no CPU; start them with --num-cpus")
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(PairChunk.score)
    window = deque[tuple[str, Any]]()
    for chunk in chunks:
        window.append((_first_prompt(chunk), task.remote(chunk)))
        if len(window) > 2 * cores:
            yield _result(ray, *window.popleft())
    while window:
        yield _result(ray, *window.popleft())


def _first_prompt(chunk: PairChunk) -> str:
    return next(pair.prompt.id for table in chunk.tables for pair in table)


def _result(ray: Any, prompt_id: str, reference: Any) -> Scored:
    try:
        return ray.get(reference)  # type: ignore[no-any-return]
    except ray.exceptions.RayTaskError:
        raise  # a metric's own error, which is also one of its own class
    except ray.exceptions.RayError as error:
        why = str(error).partition("\n")[0]
        raise FidelityError(
            f"scoring: the cluster lost the pairs from prompt {prompt_id!r} on {RETRIES + 1} times ({why}); if a node "
            f"is out of memory, start it with fewer --num-cpus"
        ) from error
