import gc
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from fidelity.cli import main
from fidelity.config import load_run
from fidelity.engines import processes
from fidelity.pipeline import generate
from fidelity.store.store import Store

# Engines that wait for a core which another worker's engine uses must not spin meanwhile.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
settings.register_profile("busy machine", deadline=None)  # the laws are about numbers, not about who shares the cores
settings.load_profile("busy machine")

ROOT = Path(__file__).parent.parent
FAKE_VLLM = ROOT / "tests" / "fake_vllm"
RECORDINGS = ROOT / "fidelity" / "sample_data" / "h100-smollm2-135m"

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too, which take minutes")


def pytest_collection_modifyitems(config, items):
    """Leave out the slow tests without --slow, and group those that must share a worker of pytest-xdist.

    Tests with a real engine run on one worker and first: each uses every core, they share engines, and they take
    longest. The tests of a file share its fixtures; a slow one runs on any worker.
    """
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    items.sort(key=lambda item: (not item.get_closest_marker("vllm"), not item.get_closest_marker("slow")))
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.xdist_group("engines"))
        elif not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))


@pytest.fixture(scope="module", autouse=True)
def _what_is_imported_stays():
    """Streamlit and the fake servers collect garbage often, and needn't look at what earlier modules imported."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from tests.scheduling import GroupScheduling

    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="module")  # Playwright's event loop stays in this thread, and no other can run there
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if not path:
        pytest.skip("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """What a test writes need not outlive a power failure, and a busy disk takes long for each file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def _own_main(monkeypatch):
    """Streamlit's AppTest puts its script in the place of `__main__`, which a spawned process would then run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def fake_vllm(monkeypatch):
    """Engine children import the fake vLLM, which takes any quantization."""
    use_fake_vllm(monkeypatch)


def use_fake_vllm(monkeypatch):
    monkeypatch.setattr("fidelity.engines.vllm_settings.quantization_methods", frozenset)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(FAKE_VLLM), os.environ.get("PYTHONPATH")])))


@pytest.fixture
def groups(monkeypatch):
    """The process groups of the engines that were ended."""
    ended = []
    wait = processes.wait_until_gone
    monkeypatch.setattr(
        processes, "wait_until_gone", lambda group, **keys: (ended.append(group), wait(group, **keys))[1]
    )
    return ended


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def fidelity(capsys, workspace, monkeypatch):
    """Runs a command in the workspace; gives exit code, stdout, stderr."""
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def run(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def quick_retries(monkeypatch):
    """Attempts at a server follow each other at once."""
    monkeypatch.setattr("fidelity.engines.server_session.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("fidelity.engines.server_session.LONGEST_WAIT_S", 0.05)


@pytest.fixture
def server_run(workspace, quick_retries):
    """Runs of a server's YAML with three prompts; the baseline without a control by default."""
    workspace.prompts("one", "two", "three")

    def run(server, *, keys=None, **engine):
        url = server if isinstance(server, str) else server.url
        written = {"kind": "openai", "base_url": url, **engine}
        path = workspace.baseline(model=None, engine=written, **{"control": "none", "kl": "none", **(keys or {})})
        runs = generate(load_run(path), store=Store(workspace.store), listener=Silent())
        return runs[0] if len(runs) == 1 else runs

    return run


class Silent:
    """A listener that keeps what it hears."""

    def __init__(self):
        self.messages = []

    def say(self, text):
        self.messages.append(text)

    def progress(self, *state):
        self.messages.append(state)


class Workspace:
    """A folder with a model that is only a config, prompts, and the YAML files of runs."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "model").mkdir()
        (folder / "model" / "config.json").write_text('{"dtype": "bfloat16"}')

    def prompts(self, *texts):
        lines = [json.dumps({"id": f"p{n}", "category": "c", "prompt": text}) for n, text in enumerate(texts)]
        (self.folder / "prompts.jsonl").write_text("\n".join(lines))

    def run(self, name, **keys):
        """Write NAME.yaml (JSON is YAML) and return its path."""
        given = {"name": name, "model": "model", "engine": {"kind": "vllm"}, **keys}
        return self.file(f"{name}.yaml", json.dumps({key: value for key, value in given.items() if value is not None}))

    def baseline(self, **keys):
        usual = {"prompts": "prompts.jsonl", "sampling": {"max_tokens": 8}, "metrics": ["identical"]}
        return self.run("base", **{**usual, "control": {"repeats": 1}, **keys})

    def recorded(self, name, rows, **keys):
        self.file(f"{name}.jsonl", "\n".join(json.dumps(row) for row in rows))
        return self.run(name, model=None, engine={"kind": "recorded", "path": f"{name}.jsonl"}, **keys)

    def file(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    @property
    def store(self):
        return self.folder / "store"


@pytest.fixture(scope="session")
def object_storage():
    """The URL of a server that speaks S3's protocol."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(object_storage, monkeypatch, request):
    """The URL of an empty place in S3, which this process and its children reach."""
    from fidelity.store.places import UrlPlace

    for name, value in {
        "AWS_ENDPOINT_URL": object_storage,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    UrlPlace(f"s3://{name}").fs.mkdir(name)
    return f"s3://{name}/stores/llama"
