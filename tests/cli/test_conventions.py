"""What every command shares: help, completion, errors of usage, `-`, `--format`, `--output`, `--json`, -q and -v."""

import io
import json
import shutil
import socket
import subprocess
import sys

import pytest
from junitparser import JUnitXml

from fidelity import __version__
from fidelity.cli import parser_of_all
from fidelity.cli.parser import every_command


@pytest.fixture
def recorded(workspace):
    """A baseline, its control and a candidate as bare JSONL files; the candidate changes one answer of four."""
    rows = [{"id": f"p{n}", "prompt": f"Count to {n}.", "text": f"one two {n}"} for n in range(4)]
    for name, changed in (("base", 0), ("again", 0), ("quant", 1)):
        lines = [json.dumps(row | ({"text": "three"} if n < changed else {})) for n, row in enumerate(rows)]
        workspace.file(f"{name}.jsonl", "\n".join(lines))
    return ("base.jsonl", "quant.jsonl", "--control", "again.jsonl", "--metric", "identical")


@pytest.fixture
def compared(fidelity, recorded):
    """A store with that comparison."""
    code, _, error = fidelity("compare", *recorded)
    assert code == 0, error


@pytest.fixture
def stdin(monkeypatch):
    def give(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return give


def comparison_id(fidelity):
    listed = json.loads(fidelity("list", "--json")[1])["comparisons"]
    (name,) = (one["id"] for one in listed if one["of"] == "candidate")
    return name


class TestHelp:
    def test_version(self, fidelity):
        assert fidelity("--version") == (0, f"fidelity {__version__}\n", "")

    def test_help_is_that_of_the_option(self, fidelity):
        assert fidelity("help") == fidelity("--help")
        assert fidelity("help", "gate", "check") == fidelity("gate", "check", "--help")

    def test_help_of_an_unknown_command(self, fidelity):
        code, _, error = fidelity("help", "gate", "chek")
        assert code == 2
        assert "no command 'chek' in 'fidelity gate'; did you mean 'check'?" in error

    @pytest.mark.parametrize(
        ("arguments", "usage", "problem"),
        [
            (("compare", "a", "b", "--metrc", "x"), "usage: fidelity compare ", "--metrc x; did you mean '--metric'?"),
            (("compare", "a", "b", "--jsn=x"), "usage: fidelity compare ", "--jsn=x; did you mean '--json'?"),
            (("gate", "check", "x", "--gates=x"), "usage: fidelity gate check ", "required: --gate"),
            (("gate", "chek", "x"), "usage: fidelity gate ", "no command 'chek'; did you mean 'check'?"),
            (("comapre", "a"), "usage: fidelity ", "no command 'comapre'; did you mean 'compare'?"),
            (("list", "extra"), "usage: fidelity list ", "unrecognized arguments: extra\n"),
        ],
    )
    def test_a_wrong_argument_shows_the_usage_of_its_command(self, fidelity, arguments, usage, problem):
        code, out, error = fidelity(*arguments)
        assert (code, out) == (2, "")
        assert error.startswith(usage)
        assert problem in error

    @pytest.mark.parametrize("command", [*every_command(parser_of_all())], ids=lambda command: command.prog)
    def test_every_command_and_option_has_a_description(self, command):
        assert all(action.help for action in command._actions)
        assert {"-q", "-v", "-h"} <= {option for action in command._actions for option in action.option_strings}


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
    def test_the_script_names_every_command_and_its_options(self, fidelity, shell):
        code, script, error = fidelity("completion", shell)
        assert (code, error) == (0, "")
        for command in every_command(parser_of_all()):
            assert command.prog.split()[-1] in script
        assert "until-decided" in script

    @pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
    def test_bash_completes(self, fidelity, workspace):
        workspace.file("completion.bash", fidelity("completion", "bash")[1])
        ask = (
            ". completion.bash; COMP_WORDS=(fidelity gate ch); COMP_CWORD=2; _shtab_fidelity; echo ${COMPREPLY[@]};"
            "COMP_WORDS=(fidelity compare --until); COMP_CWORD=2; _shtab_fidelity; echo ${COMPREPLY[@]}"
        )
        shell = subprocess.run(["bash", "-c", ask], cwd=workspace.folder, capture_output=True, text=True, check=True)
        assert shell.stdout.split() == ["check", "--until-decided"]


class TestStandardStreams:
    def test_a_candidate_from_standard_input_scores_like_its_file(self, fidelity, recorded, stdin, workspace):
        fidelity("compare", *recorded, "--json", "file.json")
        stdin((workspace.folder / "quant.jsonl").read_text())
        code, out, error = fidelity("compare", recorded[0], "-", *recorded[2:], "--format", "json")
        assert code == 0, error
        file = json.loads((workspace.folder / "file.json").read_text())["comparisons"][0]
        (piped,) = json.loads(out)["comparisons"]
        assert piped["columns"]["identical"]["mean"] == file["columns"]["identical"]["mean"] == 0.75
        assert piped["candidate"]["name"] == "stdin"

    def test_a_gate_from_standard_input_judges_like_its_file(self, fidelity, recorded, stdin, workspace):
        workspace.file("gate.yaml", "conflicts: {any: 0.2}\n")
        judged = fidelity("compare", *recorded, "--metric", "conflicts", "--gate", "gate.yaml", "-q")
        stdin("conflicts: {any: 0.2}\n")
        assert fidelity("compare", *recorded, "--metric", "conflicts", "--gate", "-", "-q") == judged
        assert judged[0] in (0, 2)
        assert "no gate" not in judged[1]
        stdin("conflict: {any: 0.9}\n")
        _, _, error = fidelity("compare", *recorded, "--gate", "-")
        assert "-: unknown key 'conflict'; did you mean 'conflicts'?" in error

    def test_a_run_from_standard_input_has_paths_relative_to_the_current_directory(self, fidelity, recorded, stdin):
        stdin("name: piped\nengine: {kind: recorded, path: base.jsonl}\ncontrol: none\n")
        code, out, error = fidelity("generate", "-")
        assert code == 0, error
        assert "runs/piped-" in out
        assert "4 generations" in out

    def test_it_is_read_once(self, fidelity, recorded):
        code, _, error = fidelity("compare", "-", "-")
        assert code == 2
        assert "'-' is given more than once" in error

    @pytest.mark.parametrize("report", ["json", "markdown", "junit", "html"])
    def test_a_report_on_standard_output_is_that_of_the_file_and_nothing_else(self, fidelity, recorded, report):
        code, printed, error = fidelity("compare", *recorded, "--format", report)
        assert code == 0, error
        assert fidelity("compare", *recorded, f"--{report}", "-")[1] == printed
        starts = {"json": "{", "markdown": "## fidelity", "junit": "<?xml", "html": "<!doctype html>"}
        assert printed.lower().startswith(starts[report])
        if report == "junit":
            assert len(list(JUnitXml.fromstring(printed.encode()))) == 1

    def test_two_reports_can_t_be_printed(self, fidelity, recorded):
        code, _, error = fidelity("compare", *recorded, "--format", "json", "--html", "-")
        assert code == 2
        assert "only one report can be printed, not html and json" in error

    def test_all_reports_in_one_directory(self, fidelity, recorded, workspace):
        code, out, error = fidelity("compare", *recorded, "--output", "reports", "--json", "own.json")
        assert code == 0, error
        assert "worded differently" in out  # the text is printed all the same
        written = {file.name for file in (workspace.folder / "reports").iterdir()}
        assert written == {"report.md", "report.xml", "report.html"}
        assert json.loads((workspace.folder / "own.json").read_text())["comparisons"]
        workspace.file("a-file", "")
        assert "--output a-file: is a file" in fidelity("compare", *recorded, "--output", "a-file")[2]


class TestVerbosity:
    def test_quiet_prints_no_progress(self, fidelity, recorded):
        _, loud, progress = fidelity("compare", *recorded)
        code, out, error = fidelity("compare", *recorded, "-q", "--store", "other")
        assert (code, error) == (0, "")
        assert out == loud.replace("fidelity-store", "other")
        assert progress

    def test_verbose_shows_seconds_and_where_an_error_came_from(self, fidelity, recorded):
        _, _, error = fidelity("compare", *recorded, "--verbose")
        assert all(line.lstrip().split(" s  ")[0].replace(".", "").isdecimal() for line in error.splitlines())
        _, _, error = fidelity("generate", "missing.yaml", "-v")
        assert "Traceback" in error
        assert error.endswith("missing.yaml: can't be read (No such file or directory); name an existing YAML file\n")


@pytest.mark.usefixtures("compared")
class TestStored:
    def test_a_list_as_json(self, fidelity):
        code, out, _ = fidelity("list", "--json")
        listed = json.loads(out)
        assert code == 0
        assert {run["name"] for run in listed["runs"]} == {"base", "again", "quant"}
        assert [one["pairs"] for one in listed["comparisons"]] == [4, 4, 4]  # the control with both, for the floor
        assert sorted(one["of"] for one in listed["comparisons"]) == ["candidate", "floor", "floor"]
        assert listed["damaged"] == {}

    def test_a_pipe_gets_whole_ids(self, fidelity, monkeypatch):
        monkeypatch.setenv("COLUMNS", "30")
        assert comparison_id(fidelity) in fidelity("list")[1]

    def test_an_id_or_its_beginning_names_a_comparison(self, fidelity, workspace):
        name = comparison_id(fidelity)
        shown = fidelity("show", f"fidelity-store/comparisons/{name}")
        assert shown[0] == 0
        assert "== p0 ==\nprompt: Count to 0.\n" in shown[1]
        assert "[-one two 0-]{+three+}" in shown[1].replace(" ", " ")
        assert fidelity("show", name) == fidelity("show", name[:13]) == shown
        workspace.file("gate.yaml", "conflicts: {any: 0.2}\n")
        assert "no comparison" in fidelity("gate", "check", name, "--gate", "gate.yaml", "--store", "empty")[2]

    def test_an_id_that_is_mistyped(self, fidelity):
        name = comparison_id(fidelity)
        code, _, error = fidelity("show", name.replace("quant", "qaunt"))
        assert code == 2
        assert f"no such comparison in fidelity-store; did you mean {name!r}?" in error

    def test_pairs_as_json(self, fidelity):
        code, out, _ = fidelity("show", comparison_id(fidelity), "--json")
        assert code == 0
        (pair,) = json.loads(out)
        assert (pair["prompt_id"], pair["prompt"]) == ("p0", "Count to 0.")
        assert (pair["baseline"], pair["candidate"]) == ("one two 0", "three")
        assert pair["scores"]["identical"] == 0


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("modles/small", "did you mean models/small?"),
        ("models/smal", "did you mean models/small?"),
        ("org/none", "nor available from the Hub, which can't be reached; check the name, or the network"),
        ("./models/none/deep", "./models/none/deep: no such file or directory"),
        ("/nowhere/small", "/nowhere/small: no such file or directory"),
    ],
)
def test_inspecting_what_is_not_there(fidelity, workspace, monkeypatch, what, message):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (workspace.folder / "models" / "small").mkdir(parents=True)
    code, _, error = fidelity("inspect", what)
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_a_dashboard_whose_port_is_used_is_an_error_and_no_failed_gate(fidelity):
    pytest.importorskip("streamlit")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, error = fidelity("dashboard", "--port", str(port))
    assert code == 2
    assert f"--port {port}: can't be used (Address already in use); choose another one" in error
    assert fidelity("dashboard", "--port", "65536")[0] == 2
