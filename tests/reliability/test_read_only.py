"""A store that may only be read: finished comparisons are repeated, judged, listed, and nothing is written."""

import io
import os
import shutil
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from fidelity.cli import main
from tests.conftest import Workspace
from tests.engines.fake_server import FakeServer, text_reply

NOBODY = 65534


@pytest.fixture
def workspace(monkeypatch):
    """A folder that another user may read, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    yield Workspace(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def run(*arguments):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            code = main([str(argument) for argument in arguments])
        except BaseException:
            traceback.print_exc()
            code = 99
    return code, out.getvalue()


def run_as_reader(*arguments):
    """The same in a process that isn't root's, which may write everywhere."""
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            code, out = run(*arguments)
            os.write(write, out.encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        out = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), out


def made_read_only(store):
    for path in (store, *store.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def recorded(workspace):
    rows = [{"id": f"p{n}", "prompt": f"prompt {n}", "output": f"answer {n} is long enough"} for n in range(12)]
    base = workspace.recorded("base", rows, control={"path": "control.jsonl"}, metrics=["identical", "rouge"])
    workspace.recorded("control", rows)
    quant = workspace.recorded("quant", [{**row, "output": row["output"] + " too"} for row in rows], label="INT8")
    workspace.file("gate.yaml", "margins: {rougeL: 0.5}")
    return base, quant


def test_a_finished_comparison_is_repeated_and_judged(workspace):
    base, quant = recorded(workspace)
    compared = ["compare", base, quant, "--gate", "gate.yaml", "--store", workspace.store]
    code = run(*compared)[0]
    assert code in (0, 1, 2)
    (path,) = workspace.store.glob("comparisons/base--quant-*")
    run("show", path)  # imports what the reader might not be allowed to read
    before = made_read_only(workspace.store)
    again = run_as_reader(*compared)
    assert again[0] == code, again[1]
    assert "can't be written" not in again[1]
    for arguments in (
        ["list", "--store", workspace.store],
        ["show", path],
        ["store", "check", "--store", workspace.store],
    ):
        ended = run_as_reader(*arguments)
        assert ended[0] == 0, ended[1]
    assert run_as_reader("gate", "check", path, "--gate", "gate.yaml")[0] == code
    assert {path: path.read_bytes() for path in workspace.store.rglob("*") if path.is_file()} == before


def test_what_would_have_to_be_written_is_refused_in_words(workspace):
    base, quant = recorded(workspace)
    assert run("compare", base, quant, "--store", workspace.store)[0] == 0
    made_read_only(workspace.store)
    more = ["compare", base, quant, "--metric", "edit", "--store", workspace.store]
    other = workspace.recorded("other", [{"id": "p0", "prompt": "prompt 0", "output": "x"}])
    for arguments in (more, ["compare", base, other, "--store", workspace.store]):
        code, out = run_as_reader(*arguments)
        assert code == 2, out
        assert "can't be written (Permission denied)" in out
        assert "Traceback" not in out


def test_a_run_of_a_server_whose_report_changed_is_served(workspace):
    """What a server reports is remembered where that may be written, and is no reason to fail where not."""
    workspace.prompts("one", "two")
    with FakeServer(lambda request: text_reply(request.text)) as server:
        path = workspace.baseline(
            model=None, control="none", kl="none", engine={"kind": "openai", "base_url": server.url}
        )
        assert run("generate", path, "--store", workspace.store)[0] == 0
        workspace.store.joinpath("servers.json").write_text("{}")
        made_read_only(workspace.store)
        code, out = run_as_reader("generate", path, "--store", workspace.store)
    assert code == 0, out
