"""A fake load generator: asks the server for its model, and computes what a queue would do instead of sending requests.

A server of the model `NAME-5` answers 5 requests per second at most, and one of them in 1 / 5 seconds.
"""

import json
import urllib.request


def add_cli_args(parser):
    for name in ("backend", "base-url", "endpoint", "model", "tokenizer", "dataset-name", "percentile-metrics"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("random-input-len", "random-output-len", "num-prompts", "seed", "max-concurrency"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("random-range-ratio", "request-rate", "temperature"):
        parser.add_argument(f"--{name}", type=float)
    for name in ("metric-percentiles", "ready-check-timeout-sec"):
        parser.add_argument(f"--{name}")
    for name in ("ignore-eos", "disable-tqdm", "save-detailed"):
        parser.add_argument(f"--{name}", action="store_true")


async def main_async(args):
    with urllib.request.urlopen(f"{args.base_url}/v1/models") as reply:
        served = json.load(reply)["data"][0]["id"]
    assert served == args.model, (served, args.model)
    most = float(args.model.rpartition("-")[2])
    answered = 1 * most if args.max_concurrency == 1 else min(most, args.request_rate)
    e2el = 1000 / most * (1 if args.max_concurrency == 1 else 1 + answered / most)
    return {
        "completed": args.num_prompts,
        "duration": args.num_prompts / answered,
        "request_throughput": answered,
        "output_throughput": answered * args.random_output_len,
        "median_ttft_ms": e2el / 10,
        "median_tpot_ms": e2el / args.random_output_len,
        "median_e2el_ms": e2el,
        "mean_e2el_ms": e2el,
        "p95_e2el_ms": 1.5 * e2el,
    }
