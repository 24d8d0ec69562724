"""What a server is known by, and what nobody may get to know."""

import subprocess
import sys
import traceback
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fidelity.errors import EngineError
from tests.engines.fake_server import FakeServer, Reply, listing, text_reply
from tests.engines.test_openai import VLLM
from tests.test_pipeline import texts

KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def run(server_run):
    return server_run


def written(folder):
    """All that is in the files of a folder, Parquet unpacked."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    tables = [str(pq.read_table(file).to_pylist()).encode() for file in files if file.suffix == ".parquet"]
    return b"".join([*tables, *(file.read_bytes() for file in files)])


class TestKeys:
    def test_it_goes_to_the_server_and_nowhere_else(self, run, workspace, monkeypatch, capfd):
        monkeypatch.setenv("SOME_KEY", KEY + "\n")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-1")

        def answer(request):
            assert request.headers["authorization"] == f"Bearer {KEY}"
            assert "openai-organization" not in request.headers
            assert not any(KEY.encode() in command.read_bytes() for command in Path("/proc").glob("[0-9]*/cmdline"))
            if request.text == "two":
                return Reply({"error": {"message": f"{KEY} may not ask this"}}, status=400)
            escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)
            return Reply(f'{{"choices": [{{"message": {{"content": "{KEY} and {escaped}"}}}}]}}'.encode())

        with FakeServer(answer) as server:
            finished = run(server, api_key_env="SOME_KEY")
        assert texts(finished) == {"p0": "[the key] and [the key]", "p1": None, "p2": "[the key] and [the key]"}
        everything = written(workspace.store)
        assert KEY.encode() not in everything + "".join(capfd.readouterr()).encode()
        assert b"[the key] may not ask this" in everything

    @pytest.mark.parametrize("status", [400, 401, 500])
    def test_a_failing_run_does_not_tell_it_either(self, run, workspace, monkeypatch, capfd, status):
        monkeypatch.setenv("SOME_KEY", KEY)
        echo = Reply({"error": {"message": f"refused: Bearer {KEY}"}}, status=status, headers={"x-key": KEY})
        with FakeServer(lambda _: echo) as server, pytest.raises(EngineError) as caught:
            run(server, api_key_env="SOME_KEY", deadline=0.2)
        shown = "".join(traceback.format_exception(caught.value))
        assert "refused: Bearer [the key]" in shown
        everything = written(workspace.store)
        assert KEY.encode() not in everything + shown.encode() + "".join(capfd.readouterr()).encode()

    @pytest.mark.parametrize("status", [200, 401])
    def test_no_report_log_or_process_list_has_it_whether_the_command_succeeds_or_fails(
        self, workspace, monkeypatch, status
    ):
        monkeypatch.setenv("SOME_KEY", KEY)
        listed = []

        def answer(request):
            commands = [command.read_bytes() for command in Path("/proc").glob("[0-9]*/cmdline")]
            listed.append(
                (any(b"quant.yaml" in command for command in commands), any(KEY.encode() in c for c in commands))
            )
            if status == 401 or request.text == "two":
                return Reply({"error": {"message": f"{KEY} may not"}}, status=max(status, 400))
            return text_reply(f"[{KEY}](http://example.com/?{KEY})")

        workspace.prompts("one", "two", "three")
        reports = [f"--{kind}={workspace.folder / f'report.{kind}'}" for kind in ("html", "markdown", "junit", "json")]
        with FakeServer(answer) as server:
            engine = {"kind": "openai", "base_url": server.url, "api_key_env": "SOME_KEY"}
            base = workspace.baseline(model=None, engine=engine)
            quant = workspace.run("quant", model=None, engine=engine)
            command = [sys.executable, "-m", "fidelity", "compare", base, quant, "--store", workspace.store, *reports]
            ended = subprocess.run(command, capture_output=True, timeout=120)
        assert ended.returncode == (0 if status == 200 else 2), ended.stderr
        assert set(listed) == {(True, False)}
        everything = written(workspace.folder) + ended.stdout + ended.stderr
        assert KEY.encode() not in everything
        assert b"[the key]" in everything
        if status == 200:
            assert all((workspace.folder / f"report.{kind}").exists() for kind in ("html", "markdown", "junit", "json"))

    def test_nothing_is_sent_without_one(self, run, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with FakeServer(lambda _: text_reply()) as server:
            run(server)
        assert not any("authorization" in request.headers for request in server.seen)


class TestIdentity:
    def test_a_finished_run_is_found_while_its_server_is_away(self, run):
        with FakeServer(lambda _: text_reply()) as server:
            finished = run(server)
        assert run(server).path == finished.path

    def test_a_server_that_was_never_there_is_named(self, run):
        with pytest.raises(EngineError, match="nothing can be reached at http"):
            run("http://127.0.0.1:9/v1")

    def test_a_port_of_this_machine_may_change_and_another_version_is_another_run(self, run):
        paths = []
        for version in ("0.32.0", "0.32.0", "0.33.0"):
            with FakeServer(lambda _: text_reply(), models=listing(VLLM)) as server:
                server.beside["/version"] = Reply({"version": version})
                paths.append(run(server).path)
        assert paths[0] == paths[1] != paths[2]

    def test_what_changes_no_output_changes_no_run(self, run):
        with FakeServer(lambda _: text_reply()) as server:
            paths = {run(server, **how).path for how in ({}, {"timeout": 5}, {"patience": 6}, {"deadline": 7})}
            assert len(paths) == 1
            assert run(server, concurrency=2).path not in paths
