"""Does a study with several engines end with every answer once, whatever dies?

    python benchmarks/deaths.py FOLDER [--fake] [--ray] [--model models/smollm2-135m] [--limit 24] [--max-tokens 48]

Runs a study of a baseline, a control and two candidates on two engines, for each event in a store of its own: nothing,
`kill -9` of an engine, `kill -9` of the command, which is then called again. With `--ray` the engines are on two local
nodes of a Ray cluster, and a node is killed instead of an engine. Prints a row for each event. `--fake` uses the fake
vLLM of the tests.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fidelity.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 900.0
RUNS = 4


class Campaign:
    """One study, run once for each event."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.folder, self.ray, self.cluster = chosen.folder, chosen.ray, None
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log.txt"
        lines = (ROOT / "prompts" / "starter.jsonl").read_text(encoding="utf-8").splitlines()[: chosen.limit]
        if chosen.fake:
            lines = [json.dumps({"id": f"p{n}", "prompt": f"SLOW question {n}"}) for n in range(chosen.limit)]
        (self.folder / "prompts.jsonl").write_text("\n".join(lines))
        self.prompts = len(lines)
        self.study = self.folder / "study.yaml"
        self.study.write_text(json.dumps(_study(str(chosen.model), self.folder, chosen.max_tokens)))
        fake = [str(ROOT / "tests" / "fake_vllm")] if chosen.fake else []
        paths = [str(ROOT), *fake, *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}

    def run(self, event: str) -> str:
        """The row of one event."""
        store = self.folder / event
        if self.ray:
            self.cluster = self._cluster()
        try:
            process = self._start(store)
            at_event = 0
            if event != "nothing":
                _until(lambda: _journaled(store) >= 3, process)
                at_event = _journaled(store)
                self._kill(event, process)
            code = process.wait(PATIENCE_S)
            if event == "command":
                code = self._start(store).wait(PATIENCE_S)
        finally:
            if self.cluster:
                self.cluster.shutdown()
        return self._row(event, at_event, store, code)

    def _start(self, store: Path) -> "subprocess.Popen[bytes]":
        where = ["--ray", self.cluster.address] if self.cluster else ["--engines", "2"]
        command = [sys.executable, "-P", "-m", "fidelity", "study", str(self.study), "--store", str(store), *where]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _kill(self, event: str, process: "subprocess.Popen[bytes]") -> None:
        if event == "node" and self.cluster:
            self.cluster.remove_node(self.cluster.nodes.pop(), allow_graceful=False)
        else:
            os.kill(_engines(process.pid)[0] if event == "engine" else process.pid, signal.SIGKILL)

    @staticmethod
    def _cluster() -> Any:
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        cluster.nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(2)]
        return cluster

    def _row(self, event: str, at_event: int, store: Path, code: int) -> str:
        runs = Store(store).runs()
        counts = [Counter((one.prompt_id, one.repeat) for one in run.outcomes()) for run in runs]
        lost = RUNS * self.prompts - sum(map(len, counts))
        doubled = sum(number > 1 for count in counts for number in count.values())
        failed = sum(run.manifest.counts.failures for run in runs)
        resumed = sum(run.manifest.resumed for run in runs)
        compared = len(Store(store).comparisons())
        cells = (
            event,
            at_event,
            code,
            f"{sum(map(len, counts))} of {RUNS * self.prompts}",
            lost,
            doubled,
            failed,
            resumed,
        )
        return "| " + " | ".join(map(str, (*cells, compared))) + " |"


def _study(model: str, folder: Path, max_tokens: int) -> dict[str, object]:
    options = {"enforce_eager": True, "max_num_seqs": 4}  # so that answers end one by one

    def run(name: str, **engine: object) -> dict[str, object]:
        own = {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 2048, "options": options, **engine}
        return {"name": name, "model": model, "engine": own}

    baseline = {**run("base"), "control": {"repeats": 1}}
    return {
        "name": "deaths",
        "prompts": str(folder.resolve() / "prompts.jsonl"),
        "sampling": {"max_tokens": max_tokens},
        "metrics": ["identical"],
        "families": [
            {"baseline": baseline, "candidates": [run("a", max_model_len=1800), run("b", max_model_len=1600)]}
        ],
    }


def _engines(parent: int) -> list[int]:
    """The processes with a model that this one has started."""
    engines = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            words = stat.with_name("cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == parent and b"fidelity.children.vllm" in words and fields[0] != "Z":
            engines.append(int(stat.parent.name))
    return engines


def _journaled(store: Path) -> int:
    return sum(file.read_bytes().count(b'{"place"') for file in store.glob("runs/*/answers-*.jsonl"))


def _until(condition: Any, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            sys.exit("it ended, or did nothing, before it could be killed; see log.txt")
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--events", help="such as nothing,node (default: all)")
    chosen = parser.parse_args()
    campaign = Campaign(chosen)
    events = ["nothing", "node" if chosen.ray else "engine", "command"]
    print(
        "| killed | answers in journals then | exit code | answers | lost | doubled | failures | resumed | compared |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for event in chosen.events.split(",") if chosen.events else events:
        print(campaign.run(event), flush=True)


if __name__ == "__main__":
    main()
