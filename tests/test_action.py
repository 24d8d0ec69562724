"""The GitHub Action: the shell of its steps, taken from the file and run as on a runner; gh and pip are fakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.report.conftest import RECORDED

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
LOGGING = """#!{python}
import json, os, sys
name = os.path.basename(sys.argv[0])
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([name, *sys.argv[1:]]), file=calls)
"""
FIDELITY = """
for flag, text in (("--markdown", "## the report\\n"), ("--html", "<!doctype html>")):
    if os.environ["FIDELITY_CODE"] in "01" or os.environ.get("REPORT"):
        open(sys.argv[sys.argv.index(flag) + 1], "w").write(text)
sys.exit(int(os.environ["FIDELITY_CODE"]))
"""
GH = """
if os.environ.get("GH_FAILS", "none") in " ".join(sys.argv):
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
if "--paginate" in sys.argv:
    print(os.environ["FOUND"])
for argument in sys.argv:
    if argument.startswith("body=@"):
        open(os.environ["POSTED"], "w").write(open(argument.removeprefix("body=@")).read())
"""


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


class Runner:
    """A machine of GitHub's: an empty folder, an environment, and commands that write down how they were called."""

    def __init__(self, folder):
        self.folder = folder / "work"
        self.folder.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name, does in (("fidelity", FIDELITY), ("gh", GH), ("pip", "")):
            self.command(name, LOGGING.format(python=sys.executable) + does)
        self.files = {name: folder / name for name in ("CALLS", "POSTED", "GITHUB_OUTPUT")}
        self.inputs = {name: str(given.get("default", "")) for name, given in ACTION["inputs"].items()}
        self.inputs |= {"baseline": "base.yaml", "candidates": "quant.yaml", "gate": "gate.yaml"}
        self.context = {
            "github.repository": "org/repo",
            "github.event.pull_request.number": "7",
            "github.server_url": "https://github.com",
            "github.run_id": "42",
            "github.token": "t0ken",
            "steps.upload.outputs.artifact-url": "https://github.com/artifact",
        }
        self.environment = {"FIDELITY_CODE": "0", "FOUND": ""}

    def command(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def step(self, name):
        """Run one step's script as GitHub does; what it sets is there for the next."""
        given = {key: self.evaluate(value) for key, value in STEPS[name].get("env", {}).items()}
        environment = {
            "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"]]),
            "HOME": str(self.folder),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            **{key: str(path) for key, path in self.files.items()},
            **self.environment,
            **given,
        }
        script = self.folder.parent / "step.sh"
        script.write_text(STEPS[name]["run"])
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(shell, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if self.files["GITHUB_OUTPUT"].exists():
            for line in self.files["GITHUB_OUTPUT"].read_text().splitlines():
                key, _, value = line.partition("=")
                self.context[f"steps.{STEPS[name].get('id')}.outputs.{key}"] = value
        return done

    def evaluate(self, text):
        def value(match):
            scope, _, key = match[1].partition(".")
            return self.inputs[key] if scope == "inputs" else self.context.get(match[1], "")

        return EXPRESSION.sub(value, EXPRESSION.sub(value, str(text)))

    @property
    def calls(self):
        file = self.files["CALLS"]
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def posted(self):
        return self.files["POSTED"].read_text()


class TestInstall:
    def test_what_is_asked_for_is_installed(self, runner):
        runner.inputs["install"] = "llm-fidelity[vllm]\n  other>=2\n"
        assert runner.step("Install fidelity").returncode == 0
        assert runner.calls == [["pip", "install", "--disable-pip-version-check", "llm-fidelity[vllm]", "other>=2"]]

    def test_nothing_is_installed_if_nothing_is_asked_for(self, runner):
        runner.inputs["install"] = ""
        assert runner.step("Install fidelity").returncode == 0
        assert runner.calls == []

    def test_reports_of_another_run_are_gone(self, runner):
        (runner.folder / "fidelity-report").mkdir()
        (runner.folder / "fidelity-report" / "report.md").write_text("old")
        runner.step("Install fidelity")
        assert list((runner.folder / "fidelity-report").iterdir()) == []


class TestCompare:
    def test_every_file_and_argument_reaches_the_command_as_one_word(self, runner):
        runner.inputs |= {
            "baseline": "my base.yaml",
            "candidates": "a.yaml\nb.yaml\n",
            "arguments": "--limit 5 --store *",
        }
        assert runner.step("Compare").returncode == 0
        (call,) = runner.calls
        assert call[:7] == ["fidelity", "compare", "my base.yaml", "a.yaml", "b.yaml", "--gate", "gate.yaml"]
        assert call[-4:] == ["--limit", "5", "--store", "*"]
        assert call[7:15] == [
            "--markdown", "fidelity-report/report.md", "--html", "fidelity-report/report.html",
            "--junit", "fidelity-report/report.xml", "--json", "fidelity-report/report.json",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("code", "report", "exit_code", "outcome"),
        [
            (0, "yes", 0, "pass"),
            (1, "yes", 1, "fail"),
            (2, "yes", 2, "inconclusive"),
            (2, "", 2, "inconclusive"),
            (137, "", 137, "inconclusive"),
        ],
    )
    def test_the_exit_code_is_passed_to_the_last_step(self, runner, code, report, exit_code, outcome):
        runner.environment |= {"FIDELITY_CODE": str(code), "REPORT": report}
        assert runner.step("Compare").returncode == 0  # upload and comment come before the verdict
        assert runner.context["steps.compare.outputs.exit-code"] == str(exit_code)
        assert runner.context["steps.compare.outputs.outcome"] == outcome
        assert runner.step("Verdict").returncode == exit_code

    def test_a_broken_installation_is_no_verdict(self, runner):
        runner.command("fidelity", "#!/bin/sh\nexit 1\n")  # what Python does where an import fails
        runner.step("Compare")
        assert runner.step("Verdict").returncode == 2

    def test_inputs_are_never_shell(self, runner):
        runner.inputs |= dict.fromkeys(
            ("baseline", "candidates", "gate", "arguments", "install"), '"; touch hacked; $(touch hacked)'
        )
        for name in ("Install fidelity", "Compare"):
            runner.step(name)
        assert not (runner.folder / "hacked").exists()
        for step in STEPS.values():
            assert "${{" not in step.get("run", "")

    @pytest.mark.parametrize(("candidate", "code"), [("bf16-serial", 0), ("w8a8-fp8", 1)])
    def test_with_the_real_command(self, runner, candidate, code):
        runner.command("fidelity", f'#!/bin/sh\nexec "{sys.executable}" -m fidelity "$@"\n')
        if (
            "--gate"
            not in subprocess.run(
                [runner.bin / "fidelity", "compare", "--help"], capture_output=True, text=True, check=True
            ).stdout
        ):
            pytest.skip("fidelity compare has no --gate yet")
        runner.inputs |= {
            "baseline": str(RECORDED / "bf16.yaml"),
            "candidates": str(RECORDED / f"{candidate}.yaml"),
            "gate": str(RECORDED / "gate.yaml"),
            "arguments": "--metric identical --metric prefix_agreement --metric rouge",
        }
        runner.environment["GITHUB_STEP_SUMMARY"] = str(runner.folder / "summary.md")
        runner.step("Compare")
        assert runner.step("Verdict").returncode == code
        written = {file.name for file in (runner.folder / "fidelity-report").iterdir()}
        assert written == {"report.md", "report.html", "report.xml", "report.json"}
        assert (runner.folder / "summary.md").read_text() == (
            runner.folder / "fidelity-report" / "report.md"
        ).read_text()

    def test_a_gate_that_is_not_there_could_not_judge(self, runner):
        runner.command("fidelity", f'#!/bin/sh\nexec "{sys.executable}" -m fidelity "$@"\n')
        runner.inputs |= {"baseline": str(RECORDED / "bf16.yaml"), "candidates": str(RECORDED / "w8a8-fp8.yaml")}
        runner.step("Compare")
        assert runner.step("Verdict").returncode == 2


class TestComment:
    @pytest.fixture(autouse=True)
    def _compared(self, runner):
        runner.step("Compare")
        runner.files["CALLS"].unlink()

    def test_the_first_one_is_written(self, runner):
        assert runner.step("Comment").returncode == 0
        reading, writing = runner.calls
        assert reading[:4] == ["gh", "api", "--paginate", "repos/org/repo/issues/7/comments?per_page=100"]
        assert writing[:6] == ["gh", "api", "--silent", "--method", "POST", "repos/org/repo/issues/7/comments"]
        assert runner.posted == (
            "<!-- fidelity: gate -->\n## the report\n\n"
            "[Every pair, to search and filter](https://github.com/artifact) ·\n"
            "[The log](https://github.com/org/repo/actions/runs/42)\n"
        )

    def test_the_next_one_replaces_it(self, runner):
        runner.environment["FOUND"] = "101\n102"
        assert runner.step("Comment").returncode == 0
        assert runner.calls[1][4:6] == ["PATCH", "repos/org/repo/issues/comments/101"]

    def test_only_our_own_comment_with_our_key_is_looked_for(self, runner):
        runner.inputs["key"] = "nightly"
        runner.step("Comment")
        jq = runner.calls[0][-1]
        assert jq == (
            '.[] | select(.user.login == "github-actions[bot]") | '
            'select(.body | startswith("<!-- fidelity: nightly -->")) | .id'
        )

    def test_without_a_report_the_comment_is_inconclusive(self, runner):
        (runner.folder / "fidelity-report" / "report.md").unlink()
        runner.step("Comment")
        assert "## ❔ fidelity: inconclusive\n\nThere is no report: nothing was judged." in runner.posted

    @pytest.mark.parametrize("fails", ["--paginate", "POST"])
    def test_a_token_that_may_not_write_only_warns(self, runner, fails):
        runner.environment["GH_FAILS"] = fails
        done = runner.step("Comment")
        assert done.returncode == 0
        assert done.stdout.startswith("::warning title=fidelity::the comment could not be written: ")

    @pytest.mark.parametrize(
        ("name", "value"), [("key", 'x"; touch hacked; "'), ("author", 'a") | .id, (.[] | select("')]
    )
    def test_a_key_is_no_program(self, runner, name, value):
        runner.inputs[name] = value
        done = runner.step("Comment")
        assert done.returncode == 0
        assert f"the input '{name}'" in done.stdout
        assert runner.calls == []

    def test_the_longest_report_fits_a_comment(self, runner):
        from fidelity.report.markdown import MOST_CHARACTERS

        (runner.folder / "fidelity-report" / "report.md").write_text("x" * MOST_CHARACTERS)
        runner.step("Comment")
        assert len(runner.posted) < 65_536


class TestWorkflow:
    WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "example-gate.yml").read_text())

    def test_the_example_gives_what_the_action_asks_for_and_nothing_else(self):
        (job,) = self.WORKFLOW["jobs"].values()
        (step,) = [step for step in job["steps"] if step["uses"] == "./"]
        required = {name for name, given in ACTION["inputs"].items() if given.get("required")}
        assert required <= set(step["with"]) <= set(ACTION["inputs"])
        for name in ("baseline", "candidates", "gate"):
            assert (ROOT / step["with"][name]).is_file()

    def test_it_may_do_no_more_than_it_needs(self):
        assert self.WORKFLOW["permissions"] == {"contents": "read", "pull-requests": "write"}
        assert Path(ROOT / "action.yml").is_file()
