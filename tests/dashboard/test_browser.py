"""What a person does with the dashboard, in a real headless Chromium, from `fidelity dashboard` on."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.dashboard.conftest import comparison
from tests.report.conftest import HOSTILE

pytestmark = pytest.mark.browser
CONTRAST = Path(__file__).with_name("contrast.js")
SLOW = 60_000
"""Milliseconds that anything may take on a busy machine."""


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def terminals():
    """What each dashboard wrote to its terminal, by its store."""
    return {}


@pytest.fixture(scope="module")
def served(terminals, tmp_path_factory):
    """Starts `fidelity dashboard` over a store; gives its address."""
    started = []

    def served(store):
        port = free_port()
        command = [sys.executable, "-m", "fidelity", "dashboard", "--store", str(store), "--port", str(port)]
        terminal = tmp_path_factory.mktemp("terminal") / "output.txt"
        with terminal.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        terminals[store] = terminal
        started.append(process)
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
                return address
            except (URLError, OSError):
                assert process.poll() is None, "fidelity dashboard ended"
                assert time.monotonic() < deadline
                time.sleep(0.2)

    yield served
    for process in started:
        process.terminate()
        process.wait(timeout=20)  # what is being computed meanwhile is not waited for


@pytest.fixture(scope="module")
def address(served, recorded, tmp_path_factory):
    store = tmp_path_factory.mktemp("served") / "store"
    shutil.copytree(recorded, store)
    return served(store), store


@pytest.fixture
def page(chromium):
    """A page in a separate browser that records requests to other machines and exceptions."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(SLOW)
    page = context.new_page()
    page.elsewhere, page.thrown = [], []
    page.on(
        "request", lambda r: r.url.startswith(("http://127.0.0.1", "data:", "blob:")) or page.elsewhere.append(r.url)
    )
    page.on("pageerror", lambda error: page.thrown.append(str(error)))
    yield page
    assert page.elsewhere == []
    assert page.thrown == []
    context.close()


def option(page, name, value):
    """Choose in a select box."""
    box = page.locator("[data-testid=stSelectbox]").filter(has_text=name)
    box.locator("input").click()
    page.get_by_role("option", name=value, exact=True).click()


def headings(page):
    return page.get_by_role("columnheader")


def cells(page):
    return page.locator("button.cell")


@pytest.mark.slow
def test_from_the_matrix_to_a_moved_margin_and_the_same_in_another_browser(address, page, chromium):
    root, store = address
    page.goto(root)
    cells(page).filter(has_text="fail").first.wait_for()

    option(page, "Metric", "rouge1")
    page.get_by_text("Excess of rouge1 over the floor").wait_for()
    assert "metric=rouge1" in page.url

    cells(page).filter(has_text=re.compile(r"\+0\.\d")).last.click()
    page.wait_for_url("**/comparison?**")
    page.locator(".f-banner.f-fail").wait_for()
    assert "metric=rouge1" in page.url

    page.get_by_role("link", name="See the pairs").click()
    page.locator(".f-parts").first.wait_for()
    page.get_by_label("Text in prompt or answers").fill("capital of France")
    page.keyboard.press("Enter")
    page.get_by_text(re.compile(r"^\d of 64 pairs")).wait_for()
    page.get_by_text("Side by side").click()
    page.get_by_text("finish reason:").first.wait_for()
    copied = page.url
    assert "text=capital" in copied

    second = chromium.new_context(viewport={"width": 1440, "height": 1000})
    second.set_default_timeout(SLOW)
    other = second.new_page()
    other.goto(copied)
    other.get_by_text("finish reason:").first.wait_for()
    assert other.locator(".f-box").all_inner_texts() == page.locator(".f-box").all_inner_texts()

    page.goto(f"{root}/gate?comparison={comparison(store, 'bf16-serial').name}")
    page.locator(".f-banner").wait_for()
    written = page.locator("[data-testid=stCode]").first.inner_text()
    page.get_by_role("slider", name=re.compile("rougeL")).press("ArrowRight")
    page.wait_for_url("**m-rougeL=**")
    moved = page.locator("[data-testid=stCode]").first
    page.wait_for_function("before => document.querySelector('[data-testid=stCode]').innerText !== before", arg=written)
    other.goto(page.url)
    other.locator(".f-banner").last.wait_for()
    assert other.locator("[data-testid=stCode]").first.inner_text() == moved.inner_text()
    second.close()


def test_a_new_comparison_appears_and_a_deleted_one_goes(address, page):
    root, store = address
    path = comparison(store, "w8a8-int8")
    aside = store.parent / path.name
    path.rename(aside)
    page.goto(f"{root}/?study=all+comparisons")
    headings(page).filter(has_text="W8A8-FP8").first.wait_for()
    assert headings(page).filter(has_text="W8A8-INT8").count() == 0
    aside.rename(path)
    os.utime(path / "manifest.json")
    headings(page).filter(has_text="W8A8-INT8").first.wait_for()


@pytest.mark.slow
def test_nothing_that_a_model_wrote_acts(served, hostile, page):
    root = served(hostile.baseline.path.parent.parent)
    for path in ("", "comparison", "runs", "gate"):
        page.goto(f"{root}/{path}")
        page.locator("[data-testid=stMainBlockContainer]").wait_for()
        page.locator(".f-banner, .f-table, [data-testid=stVegaLiteChart]").first.wait_for()
    for view in ("Differences", "Side by side", "Rendered"):
        page.goto(f"{root}/pairs?view={view}")
        page.locator(".f-box").nth(1).wait_for()
        assert page.locator(".f-box a, .f-box img, .f-box script, .f-box iframe").count() == 0
    assert "<script>window.ran" in page.locator(".f-box").first.inner_text()
    assert page.evaluate("typeof window.ran") == "undefined"
    assert HOSTILE.startswith("<script>")


def test_it_listens_on_this_machine_only(address):
    root, _ = address
    port = f"{int(root.rpartition(':')[2]):04X}"
    sockets = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = {own for _, own, _, state, *_ in sockets if own.endswith(f":{port}") and state == "0A"}
    assert listening == {f"0100007F:{port}"}


@pytest.mark.slow
def test_a_chart_and_its_data_can_be_had_as_files(page, address):
    page.goto(address[0])
    page.get_by_text("Drift by format").wait_for()
    page.get_by_role("button", name="Download").nth(1).click()
    for kind, begins in (("CSV", b"size,format,"), ("Parquet", b"PAR1"), ("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as started:
            page.get_by_role("button", name=kind, exact=True).click()
        assert started.value.suggested_filename.endswith(f".{kind.lower()}")
        assert Path(started.value.path()).read_bytes().startswith(begins)


def test_a_cell_opens_by_keyboard_and_the_terminal_stays_clean(address, page, terminals):
    root, store = address
    page.goto(root)
    cells(page).nth(1).wait_for()
    cells(page).first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/comparison?**")
    page.locator(".f-banner").first.wait_for()
    assert "w8a8-fp8" in page.url
    assert page.title() == "Comparison · fidelity"
    assert page.get_by_role("heading", level=1).count() == 1
    written = terminals[store].read_text()
    assert "Stack" not in written
    assert "Traceback" not in written
    assert "WARNING" not in written


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(address, chromium, theme):
    root, _ = address
    context = chromium.new_context(viewport={"width": 1600, "height": 1000}, color_scheme=theme)
    context.set_default_timeout(SLOW)
    page = context.new_page()
    for name, complete in (
        ("", "svg text >> text=floor"),
        ("comparison", "svg text >> nth=1"),
        ("gate", "[data-testid=stCode] >> nth=1"),
        ("history", "svg text >> text=limit"),
        ("runs", ".f-table"),
        ("start", "[data-testid=stBaseButton-primary] >> text=recordings"),
    ):
        page.goto(f"{root}/{name}")
        page.locator(complete).first.wait_for()
        page.wait_for_function("() => !document.querySelector('[data-stale=true], [data-testid=stStatusWidget]')")
        for _ in range(40):  # while a page is drawn again, its old texts are pale
            texts = page.evaluate(CONTRAST.read_text(encoding="utf-8"))
            faint = [text for text in texts if text["contrast"] < text["least"]]
            if not faint:
                break
            page.wait_for_timeout(500)
        assert len(texts) > 15
        assert faint == []
    context.close()


def test_headings_of_the_matrix_are_legible_in_narrow_windows(address, chromium):
    context = chromium.new_context(viewport={"width": 900, "height": 1000})
    context.set_default_timeout(SLOW)
    page = context.new_page()
    page.goto(address[0])
    cells(page).first.wait_for()
    for heading in headings(page).all():
        assert heading.evaluate("one => one.scrollWidth <= one.clientWidth && one.getBoundingClientRect().right <= 900")
    for cell in cells(page).all():
        assert cell.evaluate("one => one.scrollWidth <= one.clientWidth")
    context.close()
