"""The documentation's site: it builds without a warning, and its reference names every command, option and key."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest

from fidelity.cli import parser_of_all
from fidelity.cli.parser import every_command
from fidelity.config import RunConfig
from fidelity.gate import Gate
from fidelity.metrics import every_metric
from fidelity.study.study import StudyFile
from tests.conftest import ROOT
from tests.test_documentation import FENCED


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def page(site, name):
    return (site / name / "index.html").read_text(encoding="utf-8")


def test_every_command_and_option_is_in_the_reference(site):
    text = page(site, "reference/command-line")
    for command in every_command(parser_of_all()):
        assert f">{command.prog}<" in text
        for action in command._actions:
            assert all(option in text for option in action.option_strings)


def test_every_key_and_metric_is_in_the_reference(site):
    text = page(site, "reference/yaml")
    for model in (RunConfig, Gate, StudyFile):
        for name in model.model_fields:
            assert f"<code>{name}</code>" in text
    for metric in every_metric():
        assert f'id="{metric.kind}' in text
    for kind in ("vllm", "vllm-serve", "openai", "transformers", "executorch", "recorded", "stored"):
        assert f"<code>kind: {kind}</code>" in text


def test_links_to_files_outside_the_documentation_lead_to_copies(site):
    assert (site / "repository" / "action.yml").read_bytes() == (ROOT / "action.yml").read_bytes()
    assert 'href="../repository/action.yml"' in page(site, "ci")
    assert 'href="../repository/prompts/"' in page(site, "runs")


def test_a_page_asks_no_other_server(site):
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert 'src="http' not in text
        assert "fonts.googleapis" not in text


@pytest.mark.slow
def test_the_tutorial_s_commands_run(fidelity, workspace):
    shutil.copytree(ROOT / "examples", workspace.folder / "examples")
    shutil.copytree(ROOT / "fidelity" / "sample_data", workspace.folder / "fidelity" / "sample_data")
    os.chdir(workspace.folder / "examples" / "recordings")
    codes = []
    for language, body in FENCED.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        for line in body.splitlines() if language == "sh" else ():
            if line.startswith("fidelity "):
                code, _, error = (
                    fidelity(*shlex.split(line)[1:], "--metric", "rouge")
                    if "compare" in line
                    else fidelity(*shlex.split(line)[1:])
                )
                assert "Traceback" not in error
                assert code in (0, 1), (line, error)
                codes.append(code)
    assert codes == [0, 0, 0, 0, 1, 1]
