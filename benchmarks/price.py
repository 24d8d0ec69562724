"""Do fidelity's measurements agree with other tools'? Same model, prompts and options, in turn.

    python benchmarks/price.py speed  [--model DIR] [--pairs 7] [--prompts 16] [--max-tokens 32 ...] [--length 128]
    python benchmarks/price.py memory [--model DIR]

`speed`: A is fidelity's engine; B is vLLM's own benchmark code (`vllm bench throughput`, `vllm bench latency`) in a
process of its own. Each loads once, and then they take turns (A B A B). The time to the first token is that of an
answer of one token, the time to the next that of the tokens after it; B's come from its latency benchmark with outputs
of 1 and of `--max-tokens`. Several lengths tell a fixed cost of a run from one of each token. Prints each ratio A / B
with a 95% interval.

`memory`: a run under GNU `time -v`, with `smem` (and `nvidia-smi`, where it is) looking on from outside.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from fidelity.config import RunConfig, Sampling, load_run
from fidelity.engines import Alone, Answered, TimedEngine, open_engine
from fidelity.price.measures import values_from
from fidelity.prompts import load_prompts
from fidelity.runs.measure import RunWatch
from fidelity.stats import paired_ratio

ROOT = Path(__file__).parent.parent
PROMPTS = ROOT / "prompts" / "starter.jsonl"
OPTIONS: dict[str, Any] = {"enforce_eager": True, "enable_prefix_caching": False}
CONTEXT = 1024
FIRST_TOKENS = 9
"""Requests of one token in a turn: a first token takes little, and varies."""


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "theirs"))
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2-135m")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, nargs="+", default=[32])
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--token-ids", action="store_true", help="tokenize the benchmark's prompts before its time")
    parser.add_argument("--compiled", action="store_true", help="with torch.compile and CUDA graphs")
    chosen = parser.parse_args()
    OPTIONS["enforce_eager"] = not chosen.compiled
    if shutil.which("nvidia-smi"):
        # Both engines are loaded at the same time, and each would take the other's memory for its own.
        OPTIONS.update(gpu_memory_utilization=0.4, kv_cache_memory_bytes=20_000_000_000)
    {"speed": speed, "memory": memory, "theirs": bare}[chosen.what](chosen)


def speed(chosen: argparse.Namespace) -> None:
    """Take turns, and print the ratios."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [sys.executable, __file__, "theirs", *sys.argv[2:]]
    env = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "4"}
    own: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, env=env, text=True, **pipes) as other:
        config = write_config(Path(folder), chosen)
        log = Path(folder, "engine.log")
        with open_engine(config, log=log, on_progress=lambda _: None) as engine:
            assert isinstance(engine, TimedEngine)
            for pair in range(chosen.pairs + 1):
                mine, other_turn = one_turn(engine, config, chosen), their_turn(other)
                if pair:  # the first is thrown away: both sides warm up
                    own.append(mine)
                    beside.append(other_turn)
                    print(f"{pair}: {in_short(mine)} | {in_short(other_turn)}", file=sys.stderr, flush=True)
        other.stdin.close()
    print("| measure | fidelity | vLLM's benchmark | ratio | 95% interval |\n|---|---|---|---|---|")
    for name in own[0]:
        above, below = [row[name] for row in own], [row[name] for row in beside]
        ratio = paired_ratio(above, below)
        print(
            f"| {name} | {median(above):.4g} | {median(below):.4g} | {ratio.value:.3f} "
            f"| {ratio.low or ratio.value:.3f} to {ratio.high or ratio.value:.3f} |"
        )


def one_turn(engine: TimedEngine, config: RunConfig, chosen: argparse.Namespace) -> dict[str, float]:
    """As a run is measured, and as `latency` with prompts of one length is."""
    prompts = load_prompts(PROMPTS, limit=chosen.prompts)
    measured = {}
    for longest in chosen.max_tokens:
        watch, began = RunWatch(engine), time.monotonic()
        outcomes = list(engine.generate(prompts, Sampling(max_tokens=longest)))
        tokens = sum(len(outcome.token_ids) for outcome in outcomes)
        watch.chunk_finished(len(prompts), tokens, time.monotonic() - began)
        measured[rate_name(longest)] = values_from(watch.measurement(config))["tokens_per_s"].value
    lengths = [1] * FIRST_TOKENS + [chosen.max_tokens[-1]] * 3
    requests = [Alone(0, tokens, chosen.length) for tokens in lengths]
    answers = [answer.seconds for answer in engine.time_alone(prompts[:1], requests) if isinstance(answer, Answered)]
    later = [(came[-1] - came[0]) / (len(came) - 1) for came in answers[FIRST_TOKENS:]]
    return measured | {
        "seconds to the first token": median(came[0] for came in answers[:FIRST_TOKENS]),
        "seconds to the next token": median(later),
    }


def rate_name(longest: int) -> str:
    return f"tokens per second, answers of {longest}"


def their_turn(other: "subprocess.Popen[str]") -> dict[str, float]:
    """Ask vLLM's benchmarks in their process."""
    print("next", file=other.stdin, flush=True)
    answer = next(line for line in other.stdout if line.startswith("measured "))
    return dict(json.loads(answer.partition(" ")[2]))


def bare(chosen: argparse.Namespace) -> None:
    """VLLM's benchmark code with an engine that is loaded once; a turn for each line on stdin."""
    from vllm import LLM
    from vllm.benchmarks import latency, throughput
    from vllm.benchmarks.datasets import SampleRequest
    from vllm.engine.arg_utils import EngineArgs

    arguments = EngineArgs(model=str(chosen.model), dtype="bfloat16", max_model_len=CONTEXT, **OPTIONS)
    llm = LLM.from_engine_args(arguments)
    LLM.from_engine_args = lambda *_, **__: llm
    tokenizer = llm.get_tokenizer()
    texts = []
    for prompt in load_prompts(PROMPTS, limit=chosen.prompts):
        chat = [{"role": m.role, "content": m.content} for m in prompt.messages]
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text)["input_ids"]
        texts.append(({"prompt_token_ids": ids} if chosen.token_ids else text, len(ids)))
    last = chosen.max_tokens[-1]
    for _ in sys.stdin:
        measured = {}
        for longest in chosen.max_tokens:
            requests = [SampleRequest(*text, longest) for text in texts]
            seconds, outputs = throughput.run_vllm(requests, 1, arguments, False)
            measured[rate_name(longest)] = sum(len(output.outputs[0].token_ids) for output in outputs) / seconds
        first = alone(latency, arguments, chosen, 1, FIRST_TOKENS)
        whole = alone(latency, arguments, chosen, last, 3)
        measured |= {
            "seconds to the first token": first,
            "seconds to the next token": (whole - first) / (last - 1),
        }
        print("measured", json.dumps(measured), flush=True)


def alone(latency: Any, arguments: Any, chosen: argparse.Namespace, tokens: int, repeats: int) -> float:
    """Median seconds of requests of `vllm bench latency`, each alone."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "latency.json")
        asked = {"input_len": chosen.length, "output_len": tokens, "batch_size": 1, "n": 1, "use_beam_search": False}
        asked |= {"num_iters_warmup": 0, "num_iters": repeats, "profile": False, "disable_detokenize": False}
        latency.main(argparse.Namespace(**vars(arguments), **asked, output_json=str(result)))
        return float(median(json.loads(result.read_text())["latencies"]))


def in_short(measured: dict[str, float]) -> str:
    return ", ".join(f"{value:.4g}" for value in measured.values())


def write_config(folder: Path, chosen: argparse.Namespace) -> RunConfig:
    """The run's YAML; JSON is YAML."""
    keys = {
        "name": "run",
        "model": str(chosen.model.resolve()),
        "prompts": str(PROMPTS),
        "sampling": {"max_tokens": chosen.max_tokens[-1]},
        "control": "none",
        "engine": {"kind": "vllm", "dtype": "bfloat16", "max_model_len": CONTEXT, "options": OPTIONS},
    }
    (folder / "run.yaml").write_text(json.dumps(keys))
    return load_run(folder / "run.yaml")


def memory(chosen: argparse.Namespace) -> None:
    """A whole run, watched from outside."""
    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder), chosen)
        output = Path(folder, "time")
        run = [sys.executable, "-m", "fidelity", "generate", "run.yaml", "--store", "store"]
        limit = ["--limit", str(chosen.prompts)]
        timed = ["time", "-v", "-o", str(output)] if shutil.which("time") else []
        process = subprocess.Popen([*timed, *run, *limit], cwd=folder, stderr=subprocess.DEVNULL)
        pss = driver = 0
        while process.poll() is None:
            pss, driver = max(pss, smem(process.pid)), max(driver, nvidia_smi())
            time.sleep(0.2)
        memory_of = json.loads(next(Path(folder).glob("store/measurements/*/manifest.json")).read_text())["memory"]
        highest = re.search(r"Maximum resident set size \(kbytes\): (\d+)", output.read_text()) if timed else None
    outside = {"pss": pss, "rss": int(highest[1]) * 1024 if highest else 0, "gpu": driver}
    print("| bytes | fidelity | from outside | ratio |\n|---|---|---|---|")
    for name, other in outside.items():
        if other and memory_of[name]:
            print(f"| {name} | {memory_of[name]:,} | {other:,} | {memory_of[name] / other:.4f} |")
    print(f"\nOf it the KV cache {memory_of['kv_cache']}, the weights {memory_of['weights']}.")


def smem(ancestor: int) -> int:
    """PSS of the engine's processes that stem from this one, in bytes, by smem; 0 where there is none."""
    if not shutil.which("smem"):
        return 0
    output = subprocess.run(
        ["smem", "-H", "-c", "pid pss", "-P", "fidelity.children.vllm"], capture_output=True, text=True
    )
    rows = [line.split() for line in output.stdout.splitlines()]
    return 1024 * sum(int(pss) for pid, pss in rows if stems_from(int(pid), ancestor))


def stems_from(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return pid == ancestor


def nvidia_smi() -> int:
    """What is used on all GPUs, in bytes; 0 where there is none."""
    if not shutil.which("nvidia-smi"):
        return 0
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return (1 << 20) * sum(map(int, subprocess.run(query, capture_output=True, text=True).stdout.split()))


if __name__ == "__main__":
    main()
