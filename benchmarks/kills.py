"""Does a continuous run that is killed again and again answer every prompt once?

    python benchmarks/kills.py FOLDER [--model models/smollm2-135m] [--kills 20] [--limit 72] [--max-tokens 128]
    python benchmarks/kills.py FOLDER --fake [--kills 20]

Starts `fidelity generate`, and kills the command or its engine (`kill -9`, either at random) at a random moment after
a new answer is on disk; at last lets it end. Prints the answers on disk after each kill, and how many prompts
have no answer or two at the end. `--fake` uses the fake vLLM of the tests.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fidelity.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Outcome:
    """What is left of a run after all kills."""

    answers: tuple[int, ...]
    """Answers on disk after each kill."""
    lost: int
    doubled: int
    resumed: int
    """The number of resumptions, from the manifest."""


class Campaign:
    """One run, started as often as it is killed and once more."""

    def __init__(self, folder: Path, run: dict[str, object], *, fake: bool) -> None:
        self.store = folder / "store"
        self._log = folder / "log.txt"
        (folder / "run.yaml").write_text(json.dumps(run))
        self._command = [sys.executable, "-P", "-m", "fidelity", "generate", folder / "run.yaml", "--store", self.store]
        paths_of_fake = [str(ROOT / "tests" / "fake_vllm")] if fake else []
        paths = [str(ROOT), *paths_of_fake, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}

    def run(self, kills: int, seed: int, longest_s: float) -> Outcome:
        """Kill it so many times, each time up to `longest_s` seconds after a new answer, and let it end."""
        draw, answers = random.Random(seed), []
        for _ in range(kills):
            if not self._killed(draw, longest_s):
                break
            answers.append(self._on_disk())
        with self._log.open("ab") as log:
            subprocess.run(self._command, env=self._environment, check=True, stdout=log, stderr=log)
        (run,) = Store(self.store).runs()
        counts = Counter((one.prompt_id, one.repeat) for one in run.outcomes())
        lost = sum(prompt.id not in {prompt_id for prompt_id, _ in counts} for prompt in run.prompts())
        doubled = sum(count > 1 for count in counts.values())
        return Outcome(tuple(answers), lost, doubled, run.manifest.resumed)

    def _on_disk(self) -> int:
        journals = self.store.glob("runs/*/answers-*.jsonl")
        return sum(line.startswith(b'{"place"') for file in journals for line in file.read_bytes().splitlines())

    def _killed(self, draw: random.Random, longest_s: float) -> bool:
        """Whether the command was still at work when it was to be killed."""
        before = self._on_disk()
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_S
        while self._on_disk() <= before and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, longest_s))
        if process.poll() is not None:
            return False
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(draw.choice([str(process.pid), *children])), signal.SIGKILL)
        process.wait()
        for child in children:
            while Path(f"/proc/{child}").exists() and time.monotonic() < until:
                time.sleep(0.02)
        return True


def main() -> None:
    """Run the campaign and print what is left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limit", type=int, default=72)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=1.0, help="the latest kill, in seconds after a new answer")
    parser.add_argument("--fake", action="store_true")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True)
    lines = (ROOT / "prompts" / "starter.jsonl").read_text(encoding="utf-8").splitlines()[: chosen.limit]
    prompts = [json.loads(line) for line in lines]
    if chosen.fake:
        prompts = [{"id": f"p{number}", "prompt": f"SLOW question {number}"} for number in range(chosen.limit)]
    (chosen.folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, prompts)))
    options = {"enforce_eager": True, "max_num_seqs": 4}  # so that answers end one by one
    run = {
        "name": "killed",
        "model": str(chosen.model),
        "prompts": str(chosen.folder.resolve() / "prompts.jsonl"),
        "sampling": {"max_tokens": chosen.max_tokens},
        "control": "none",
        "kl": "none",
        "engine": {"kind": "vllm", "dtype": "bfloat16", "max_model_len": 2048, "options": options},
    }
    outcome = Campaign(chosen.folder, run, fake=chosen.fake).run(chosen.kills, chosen.seed, chosen.longest)
    print(f"{len(outcome.answers)} kills; answers on disk after each: {', '.join(map(str, outcome.answers))}")
    print(f"prompts without an answer: {outcome.lost}, with two: {outcome.doubled}; resumed {outcome.resumed} times")


if __name__ == "__main__":
    main()
