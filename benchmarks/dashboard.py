"""How long do you wait for the dashboard, and how much memory does it take? In a real headless Chromium.

    python benchmarks/dashboard.py [--comparisons 24] [--prompts 500] [--answer-tokens 200] [--repeats 5] [--store DIR]

Makes a store of comparisons with made-up outputs (8 columns, the columns' values from the texts' own seed), starts
`fidelity dashboard` over it, and prints the time to the first chart once the server is up (and that of a bare
Streamlit page with one chart), the response time of clicks, and the peak of resident memory: medians of
several starts, each with a new browser, with minimum and maximum.
Run it with --comparisons 1 --prompts 100000 for the large store.
"""

import argparse
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from fidelity import __version__
from fidelity.prompts import prompts_digest
from fidelity.records import Column, Generation, Prompt, Sameness
from fidelity.store.manifests import ComparisonManifest, RunDraft
from fidelity.store.runs import Run
from fidelity.store.store import Store

COLUMNS = ("identical", "prefix_agreement", "rouge1", "rouge2", "rougeL", "edit_words", "length_similarity", "sts")
FORMATS = ("W8A8-FP8", "W8A8-INT8", "W4A16-INT4 g128", "W4A16-INT4 g64", "8da4w g32", "W8A16-INT8")
CHART, CELL = "[data-testid=stVegaLiteChart] svg text", "button.cell"
"""A chart's texts, and a cell of the overview's matrix."""
READING = 2.0
"""Seconds that a reader looks at a page before the next click."""
WORDS = ["the", "of", "answer", "token", "prompt", "drift", "floor", "size", "format", "model", "is", "that", "on"]


def main() -> None:
    """Make the store, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=24)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--answer-tokens", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--store", type=Path, help="an existing store to measure instead")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = chosen.store or Path(folder) / "store"
        if not chosen.store:
            made_up(store, chosen.comparisons, chosen.prompts, chosen.answer_tokens)
        measure(store, chosen.repeats)


def made_up(root: Path, comparisons: int, prompts: int, tokens: int) -> None:
    """A store as `fidelity compare` leaves it."""
    store, draw = Store(root), random.Random(0)
    asked = tuple(Prompt(f"p{n}", f"question {n}", f"category {n % 8}") for n in range(prompts))
    sizes = max(1, comparisons // len(FORMATS))
    made = 0
    for size in range(sizes):
        about = {"format": "BF16", "parameters": 10 ** (8 + size), "bytes": 2 * 10 ** (8 + size)}
        base = a_run(store, f"size{size}", asked, draw, tokens, about)
        control = a_run(store, f"size{size}.control1", asked, draw, tokens, about, control_of=base.manifest.digest)
        floor = scored(store, base, control, asked, draw, 0.9)
        for number, kind in enumerate(FORMATS[: comparisons - made] if size == sizes - 1 else FORMATS):
            own = {**about, "format": kind, "bytes": about["bytes"] // (2 + number)}
            run = a_run(store, f"size{size}-{number}", asked, draw, tokens, own)
            comparison = scored(store, base, run, asked, draw, 0.8 - 0.08 * number + 0.03 * size)
            comparison.described(controls=[floor.path.name], own_controls=[])
            made += 1


def a_run(
    store: Store, name: str, asked: tuple[Prompt, ...], draw: random.Random, tokens: int, about: dict, **more
) -> Run:
    """A run of random words."""
    outcomes = [
        Generation(
            prompt.id,
            " ".join(draw.choices(WORDS, k=tokens)),
            tuple(draw.choices(range(49_000), k=tokens)),
            tuple(-draw.random() for _ in range(tokens)),
            "length",
        )
        for prompt in asked
    ]
    engine = {"kind": "vllm", "version": "0.32.0", "mode": "eager", "device": "CPU", "quantized_layers": 30}
    given = {
        "name": name,
        "digest": f"{abs(hash(name)):064x}",
        "created": "2026-01-01T00:00:00+00:00",
        "fidelity": __version__,
        "config": {"name": name, "model": "model", "engine": {"kind": "vllm"}},
        "sampling": {"temperature": 0.0, "max_tokens": tokens},
        "prompts_digest": prompts_digest(asked),
        "identity": {"model": name.partition("-")[0].partition(".")[0]},
        "engine": engine,
        "checkpoint": about,
        "label": None,
        "control_of": None,
        "subset_of": None,
        "chunk": None,
        "seed": None,
        "planned": None,
        "recorded_timings": {},
        **more,
    }
    manifest = RunDraft.model_validate(given)
    with store.writing(name, manifest.digest) as writer:
        assert not isinstance(writer, Run)
        writer.add_chunk(0, asked, outcomes)
        return writer.complete(asked, manifest)


def scored(store: Store, base: Run, other: Run, asked: tuple[Prompt, ...], draw: random.Random, mean: float):
    """Columns around a mean, and their chance levels."""
    manifest = ComparisonManifest(
        baseline=base.id,
        candidate=other.id,
        created="2026-01-01T00:00:00+00:00",
        reasoning=None,
        prompt_ids=tuple(p.id for p in asked),
        failures={},
        failed_prompts=(),
        same=Sameness(texts=False, token_ids=False, logprobs=False),
    )
    comparison = store.comparison(base, other, manifest, f"{abs(hash(other.name)):08x}")
    columns = {}
    for name in COLUMNS:
        for signature, centre in ((f"{name}|v:1", mean), (f"{name}|v:1|low:0", 0.1)):
            values = [draw.betavariate(10 * centre, 10 * (1 - centre)) for _ in asked]
            comparison.add_columns(signature, [Column(name, values)])
        columns[name] = {"signature": f"{name}|v:1", "column": name}
    return comparison.described(columns=columns, unscored={})


def measure(store: Path, repeats: int) -> None:
    """Start the dashboard for each repeat, click as a user does, and print how long each step took."""
    door = [sys.executable, "-m", "fidelity", "dashboard", "--store", str(store), "--port"]
    times: dict[str, list[float]] = {}
    peaks = []
    for number in range(repeats):
        with bare_page() as bare, opened(bare) as (page, root, _):
            times.setdefault("first chart of a bare Streamlit page", []).append(first_chart(page, root, CHART))
        with opened(door) as (page, root, server):
            for what, seconds in waits(page, root):
                times.setdefault(what, []).append(seconds)
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
            peaks.append(int(peak[1]) / 2**20)
        print(f"{number + 1} of {repeats}", file=sys.stderr, flush=True)
    for what, seconds in times.items():
        print(f"{what}: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"peak memory of the server: {max(peaks):.2f} GiB")


@contextmanager
def bare_page() -> Iterator[list[str]]:
    """The command that serves a page with one small chart and nothing else, for comparison."""
    with tempfile.TemporaryDirectory() as folder:
        spec = {"mark": "point", "encoding": {"x": {"field": "a"}, "y": {"field": "a"}}}
        spec |= {"data": {"values": [{"a": "a"}]}, "usermeta": {"embedOptions": {"renderer": "svg"}}}
        app = Path(folder, "bare.py")
        app.write_text(f"import streamlit as st\nst.vega_lite_chart({spec})\n")
        options = ["--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false"]
        yield [sys.executable, "-m", "streamlit", "run", str(app), *options, "--server.port"]


@contextmanager
def opened(command: list[str]) -> Iterator[tuple[Page, str, subprocess.Popen]]:
    """A new browser, and the server once it is up."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        root = f"http://127.0.0.1:{port}"
        while not up(root):
            time.sleep(0.1)
        with sync_playwright() as started:
            browser = started.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.set_default_timeout(60_000)
            yield page, root, server
    finally:
        server.terminate()
        server.wait()


def first_chart(page: Page, root: str, drawn: str) -> float:
    began = time.monotonic()
    page.goto(root)
    page.locator(drawn).first.wait_for()
    return time.monotonic() - began


def waits(page: Page, root: str) -> Iterator[tuple[str, float]]:
    """What is done, and the seconds until it is answered; in between the reader reads."""
    began = time.monotonic()
    yield "the matrix's first cell", first_chart(page, root, CELL)
    page.locator(CHART).first.wait_for()
    yield "first chart", time.monotonic() - began

    time.sleep(READING)
    page.locator("[data-testid=stSelectbox]").filter(has_text="Metric").locator("input").click()
    choice = page.get_by_role("option", name="rouge1", exact=True)
    choice.wait_for()
    began = time.monotonic()
    choice.click()
    page.get_by_text("Excess of rouge1 over the floor").wait_for()
    page.locator(CHART).filter(has_text="excess of rouge1").first.wait_for()
    yield "another metric", time.monotonic() - began

    time.sleep(READING)
    began = time.monotonic()
    page.locator(CELL).first.click()
    page.get_by_role("columnheader", name="Chance level").wait_for()
    yield "a comparison opened", time.monotonic() - began
    page.get_by_role("heading", name="Length and ending of the answers").wait_for()
    yield "the comparison's last chart", time.monotonic() - began

    time.sleep(READING)
    link = page.get_by_role("link", name="See the pairs")
    link.scroll_into_view_if_needed()
    began = time.monotonic()
    link.click()
    page.locator(".f-parts").first.wait_for()
    yield "the worst pair opened", time.monotonic() - began

    time.sleep(READING)
    began = time.monotonic()
    page.keyboard.press("j")
    page.get_by_text(re.compile("^Pair 2 of")).wait_for()
    yield "the next pair", time.monotonic() - began

    time.sleep(READING)
    began = time.monotonic()
    page.get_by_text("Side by side").click()
    page.get_by_text("finish reason:").first.wait_for()
    yield "another view of the pair", time.monotonic() - began


def up(root: str) -> bool:
    """Whether the server answers."""
    try:
        urllib.request.urlopen(f"{root}/_stcore/health", timeout=5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
