"""The recordings that come with the package, as a study in a store; and the app over any store, without a browser."""

import functools
import json
import re
import shutil
from html import unescape
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("streamlit")

import altair
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from fidelity import dashboard
from fidelity.cli.comparing import metrics_of
from fidelity.dashboard import cache
from fidelity.store.comparisons import Comparison
from fidelity.store.runs import Run
from fidelity.store.store import Store
from fidelity.study.study import load_study, run_study
from tests.conftest import RECORDINGS, Silent
from tests.report.conftest import hostile

__all__ = ["hostile"]

DOOR = Path(dashboard.__file__).with_name("app.py")
PAGES = ("overview", "comparison", "pairs", "runs", "gate", "history")


@pytest.fixture(scope="session", autouse=True)
def _packages_are_scanned_once():
    """AppTest would read the metadata of every installed package for each view, in search of components."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", functools.cache(manifest_scanner.scan_component_manifests)
        )
        yield


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A store with the recordings' study; not to be written to."""
    root = tmp_path_factory.mktemp("recorded") / "store"
    study = load_study(RECORDINGS / "study.yaml")
    run_study(study, store=Store(root), listener=Silent(), metrics_of=metrics_of)
    return root


@pytest.fixture
def store(recorded, tmp_path):
    """A copy to break."""
    return Path(shutil.copytree(recorded, tmp_path / "store"))


@pytest.fixture
def token_scored(fake_vllm, workspace, fidelity):
    """Two runs and a control of the fake vLLM, with token scores of the baseline's answers."""
    workspace.prompts(*(f"question number {n}" for n in range(12)))
    metrics = ["identical", {"kind": "tokens", "profile": True}, {"kind": "rouge"}]
    base = workspace.baseline(metrics=metrics)
    quant = workspace.run("int8", engine={"kind": "vllm", "options": {"quantization": "compressed-tensors"}})
    code, _, err = fidelity("compare", base, quant, "--store", workspace.store)
    assert code == 0, err
    return workspace.store


@pytest.fixture
def opened(monkeypatch):
    """Opens a page of the app over a store, as its address does; no page may end in an exception."""

    def opened(root, page="overview", **params):
        monkeypatch.setenv(dashboard.STORE, str(root))
        monkeypatch.setattr(cache, "AT_ONCE", 60.0)  # a busy machine computes as much for the first view
        app = AppTest.from_file(str(DOOR), default_timeout=120)
        app._page_hash = calc_hash(
            "" if page == "overview" else page
        )  # what `switch_page` sets for pages that are files
        for key, value in params.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return opened


def markup(app):
    """A page's own markup, with whatever of a store is in it, without the tips of terms."""
    drawn = "\n".join(element.proto.body for element in app.get("html"))
    return re.sub(r'<span class="f-term"[^>]*>(.*?)</span>', r"\1", drawn)


def page_text(app):
    """The same as a reader sees it: what was escaped is not."""
    return unescape(markup(app))


def table(app, first):
    """A page's table with this first heading: its rows by their first cell, each a dict of texts."""
    [body] = [drawn for drawn in re.findall(r"<table.*?</table>", markup(app)) if f"<tr><th>{first}</th>" in drawn]
    headings, *rows = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", body))
    return {row[0]: dict(zip(headings, map(unescape, row), strict=True)) for row in rows}


def listed(app):
    """The list of pairs: a dict of texts for each row, in order; a highlighted text is joined."""
    [data] = [data for drawn in app.get("bidi_component") if "rows" in (data := json.loads(drawn.proto.json))]
    names = [column["name"] for column in data["columns"]]
    texts = [["".join(cell) for cell in row["cells"]] for row in data["rows"]]
    return [dict(zip(names, row, strict=True)) for row in texts]


def matrix(app):
    """The cells of the overview's matrix by model and format: dicts of their texts."""
    [data] = matrices(app)
    headings = [" · ".join(filter(None, (h["format"], h["note"]))) for h in data["headings"]]
    return {
        (row["size"], heading): cell
        for row in data["rows"]
        for heading, cell in zip(headings, row["cells"], strict=True)
        if cell
    }


def matrices(app):
    """What the components of a page that are matrices get."""
    drawn = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    return [data for data in drawn if "headings" in data]


def charted(app):
    """The data of all charts of a page, as text; each chart is what the Vega-Lite grammar allows."""
    shown = []
    for chart in app.get("vega_lite_chart"):
        drawn = json.loads(chart.proto.spec)
        altair.Chart.from_dict(drawn)
        table = pa.ipc.open_stream(chart.proto.data.data).read_all().to_pylist() if chart.proto.data.data else []
        shown += [*table, *(layer.get("data") for layer in drawn["layer"])]
    return str(shown)


def comparison(root, candidate):
    """The directory of a candidate's comparison with its baseline, not with a control."""
    folders = (root / "comparisons").glob(f"*--{candidate}-*")
    [folder] = [f for f in folders if not Run(root / "runs" / Comparison(f).manifest.baseline).manifest.control_of]
    return folder
