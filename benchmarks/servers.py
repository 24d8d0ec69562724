"""How much slower is `fidelity generate` on a server than a bare asyncio client? 64 open requests, A B A B.

    python benchmarks/servers.py [--pairs 7] [--prompts 640] [--seconds 2.0] [--memory 20000]

The server runs in a separate process and answers after --seconds, plus or minus a half, with 100 tokens, their ids and
logprobs. A is fidelity's pipeline, up to the last answer on disk; B has as many open requests over plain
sockets, reads the JSON and stores nothing; C does so with the `openai` package's own client. Prints the ratios of
throughputs (A's / B's and A's / C's; above 1, fidelity is faster) with 95% intervals, then the memory during a run of
--memory prompts.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t

from fidelity.config import load_run
from fidelity.pipeline import generate
from fidelity.store.store import Store

AT_ONCE = 64
TEXT = "word " * 100
ENTRIES = [{"id": n, "token": "word ", "bytes": [119, 111], "logprob": -0.1234567} for n in range(100)]
CHOICE = {"index": 0, "message": {"content": TEXT}, "logprobs": {"content": ENTRIES}, "finish_reason": "stop"}
ANSWER = json.dumps({"id": "x", "model": "m", "choices": [CHOICE]}).encode()
MODELS = json.dumps({"object": "list", "data": [{"id": "m", "owned_by": "llamacpp"}]}).encode()


def main() -> None:
    """Run the pairs, then the large run, and print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--prompts", type=int, default=640)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--memory", type=int, default=20_000)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        asyncio.run(serve(chosen.serve))
        return
    if chosen.pairs:
        with Server(chosen.seconds) as port:
            compare(port, chosen.pairs, chosen.prompts)
    if chosen.memory:
        with Server(0.0) as port:
            memory(port, chosen.memory)


class Server:
    """The healthy server, as a process; entered, it gives its port."""

    def __init__(self, seconds: float) -> None:
        self._command = [sys.executable, __file__, "--serve", str(seconds)]

    def __enter__(self) -> int:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return int(self._process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


async def serve(seconds: float) -> None:
    """Answer every request after about so many seconds."""
    draw = random.Random(0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(length_in(head))
                if not head.startswith(b"GET"):
                    await asyncio.sleep(seconds * draw.uniform(0.5, 1.5))
                body = MODELS if head.startswith(b"GET") else ANSWER
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=500)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def length_in(head: bytes) -> int:
    """The content length that a head of HTTP names."""
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


class Listener:
    """Keeps the process's memory, in MB, by prompts done."""

    def __init__(self) -> None:
        self.megabytes: dict[int, float] = {}

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        self.megabytes[done] = resident()


def resident() -> float:
    """The process's own memory, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def own_client(port: int, prompts: int, folder: Path, listener: Listener) -> float:
    """The seconds of one run of fidelity's."""
    lines = [json.dumps({"id": f"p{n}", "prompt": f"question {n}"}) for n in range(prompts)]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    engine = {"kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "concurrency": AT_ONCE}
    run = {"name": "run", "engine": engine, "prompts": "prompts.jsonl", "control": "none", "kl": "none"}
    (folder / "run.yaml").write_text(json.dumps(run))
    store = Store(folder / "store")
    (finished,) = generate(load_run(folder / "run.yaml"), store=store, listener=listener)
    assert finished.manifest.counts.generations == prompts
    measured = store.measurement(finished)
    assert measured
    return float(measured.seconds)


async def over_sockets(port: int, prompts: int) -> None:
    """A connection for each request under way, and nothing around it."""
    places = iter(range(prompts))

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for place in places:
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"question {place}"}]}).encode()
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            answer = json.loads(await reader.readexactly(length_in(head)))
            assert answer["choices"][0]["message"]["content"] == TEXT
        writer.close()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def over_openai(port: int, prompts: int) -> None:
    """The openai package's own client, as its documentation has it."""
    from openai import AsyncOpenAI

    places = iter(range(prompts))
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:

        async def work() -> None:
            for place in places:
                messages = [{"role": "user", "content": f"question {place}"}]
                answer = await client.chat.completions.create(model="m", messages=messages, logprobs=True)
                assert answer.choices[0].message.content == TEXT

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def seconds_of(bare: Awaitable[None]) -> float:
    """How long a client takes that keeps nothing."""

    async def timed() -> float:
        began = time.monotonic()
        await bare
        return time.monotonic() - began

    return asyncio.run(timed())


def compare(port: int, pairs: int, prompts: int) -> None:
    """All three in turn, because other work on the machine then slows all of them."""
    rows = []
    print(
        "| pair | fidelity, s | sockets, s | openai, s | to sockets | to openai |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for number in range(1, pairs + 1):
        with tempfile.TemporaryDirectory() as folder:
            own = own_client(port, prompts, Path(folder), Listener())
        sockets, package = seconds_of(over_sockets(port, prompts)), seconds_of(over_openai(port, prompts))
        rows.append((sockets / own, package / own))
        line = "| {} | {:.2f} | {:.2f} | {:.2f} | {:.3f} | {:.3f} |"
        print(line.format(number, own, sockets, package, *rows[-1]), flush=True)
    for name, ratios in zip(("plain sockets", "the openai package"), zip(*rows, strict=True), strict=True):
        low, high = t.interval(0.95, pairs - 1, mean(ratios), stdev(ratios) / pairs**0.5)
        print(f"throughput to that of {name}: {mean(ratios):.3f}, 95% interval {low:.3f} to {high:.3f}")


def memory(port: int, prompts: int) -> None:
    """Memory of one run against a server that answers at once."""
    listener = Listener()
    with tempfile.TemporaryDirectory() as folder:
        seconds = own_client(port, prompts, Path(folder), listener)
    marks = [min(listener.megabytes, key=lambda done: abs(done - share * prompts // 10)) for share in range(1, 11)]
    print(f"\n{prompts} prompts in {seconds:.0f} s; memory after")
    print(", ".join(f"{done}: {listener.megabytes[done]:.0f} MB" for done in marks))
    print(f"and once the run was written: {resident():.0f} MB")


if __name__ == "__main__":
    main()
