"""Fills the object stores of a cluster's nodes, and holds the objects until it is killed.

    python -m tests.study.object_store_filler ADDRESS FOLDER

A file in the folder for each node shows that its store is full.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

SIZES = (2**20, 2**17)
"""Objects above 100 kB are in the object store; smaller ones are sent with their replies."""


def fill(file):
    objects = []
    for size in SIZES:
        with suppress(ray.exceptions.RayError):
            for _ in range(200):
                objects.append(ray.put(bytes(size)))
    Path(file).write_text(str(len(objects)))
    time.sleep(600)


def main(address, folder):
    ray.init(address=address, log_to_driver=False, logging_level="error")
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    for number, node in enumerate(nodes):
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        ray.remote(num_cpus=0, max_retries=0)(fill).options(scheduling_strategy=there).remote(f"{folder}/full-{number}")
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
