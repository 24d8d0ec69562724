"""What is shipped: extras, the source distribution, containers, hooks and workflows."""

import os
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib

import pytest
import yaml

from fidelity.cli.demonstrating import METRICS
from fidelity.metrics import default_metrics, metric_of_kind
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONTAINERS = sorted(ROOT.glob("Containerfile.*"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
INSTRUCTIONS = {"FROM", "RUN", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD", "ENV", "ARG", "LABEL"}
CHECKOUT = (ROOT / ".git").exists()


def distributions(*extras):
    """The names of all distributions that extras bring, through extras of their own."""
    names = set()
    for requirement in (r for extra in extras for r in PROJECT["optional-dependencies"][extra]):
        if inner := re.match(r"llm-fidelity\[([\w,]+)\]", requirement):
            names |= distributions(*inner[1].split(","))
        else:
            names.add(re.match(r"[\w.-]+", requirement)[0].lower())
    return names


def instructions(file):
    """The instructions of a container file: (name, words)."""
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def actions(file):
    """Everything that a workflow or an action uses."""
    return re.findall(r"^\s*(?:- )?uses: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("kind", METRICS)
def test_a_plain_installation_brings_what_the_demo_s_metrics_need(kind):
    core = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in PROJECT["dependencies"]}
    assert {package.lower() for package in metric_of_kind(kind).packages} <= core


def test_vllm_and_semantic_bring_what_the_default_metrics_and_the_readme_s_gate_need():
    core = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in PROJECT["dependencies"]}
    needed = {package.lower() for metric in default_metrics() for package in metric.packages}
    assert needed - core - distributions("vllm", "semantic") == set()
    assert "vllm" in distributions("vllm", "semantic")


def test_all_is_every_extra_for_users_but_executorch():
    users = set(PROJECT["optional-dependencies"]) - {"all", "dev", "docs", "executorch"}
    assert distributions("all") == distributions(*users)


def test_the_classifiers_are_the_python_versions_that_the_makefile_accepts():
    named = re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))
    low, high = re.search(r"\(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)", (ROOT / "Makefile").read_text()).groups()
    assert [int(minor) for minor in named] == list(range(int(low), int(high)))
    assert PROJECT["requires-python"] == f">=3.{low}"


@pytest.mark.parametrize("file", CONTAINERS, ids=lambda file: file.name)
class TestContainers:
    def test_every_instruction_is_known_and_the_first_is_a_pinned_image(self, file):
        names = [name for name, _ in instructions(file)]
        assert set(names) <= INSTRUCTIONS
        assert names[0] == "FROM"
        image = instructions(file)[0][1]
        assert re.fullmatch(r"docker\.io/[\w./-]+:v?\d[\w.-]+", image)

    def test_what_is_copied_exists_and_is_not_ignored(self, file):
        ignored = (ROOT / ".dockerignore").read_text().split()
        sources = [source for name, words in instructions(file) if name == "COPY" for source in words.split()[:-1]]
        assert {"fidelity", "pyproject.toml"} <= set(sources)
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source not in ignored

    def test_its_shell_commands_are_shell(self, file):
        for name, words in instructions(file):
            if name == "RUN":
                subprocess.run(["sh", "-n", "-c", words], check=True)

    def test_it_runs_fidelity_as_a_user_without_rights(self, file):
        last = dict(instructions(file))
        assert last["ENTRYPOINT"] == '["fidelity"]'
        assert last["USER"] == "fidelity"


def test_the_image_for_cuda_has_a_version_of_vllm_that_the_extra_accepts():
    image = dict(instructions(ROOT / "Containerfile.cuda"))["FROM"]
    (vllm,) = PROJECT["optional-dependencies"]["vllm"]
    version = [tuple(map(int, re.search(r"(\d+)\.(\d+)", text).groups())) for text in (image, vllm)]
    assert version[0] >= version[1]


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda file: file.name)
def test_actions_are_pinned_by_commit(file):
    yaml.safe_load(file.read_text(encoding="utf-8"))
    for used in actions(file):
        assert used.startswith("./") or re.match(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d", used), used


def test_ci_runs_every_test_and_builds_the_documentation():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any(command.startswith(".ci/run") for command in commands)
    assert any("mkdocs build --strict" in command for command in commands)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("make test-all")
    checked = " ".join(commands)
    assert all(file.name in checked for file in CONTAINERS)


def test_the_pre_commit_hook_is_a_command(fidelity):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    command, *arguments = shlex.split(hook["entry"])
    assert command in PROJECT["scripts"]
    assert fidelity(*arguments, "--help")[0] == 0
    assert hook["language"] == "python"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The source distribution, built from the tracked files alone and unpacked."""
    if not CHECKOUT:
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("sdist")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    copy = ["tar", "--create", "--null", "--files-from=-", f"--file={folder / 'tracked.tar'}"]
    subprocess.run(copy, cwd=ROOT, input=tracked, text=True, check=True)
    (folder / "source").mkdir()
    subprocess.run(["tar", "--extract", f"--file={folder / 'tracked.tar'}"], cwd=folder / "source", check=True)
    build = f"import setuptools.build_meta as b; b.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=folder / "source", capture_output=True, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    (root,) = (folder / "unpacked").iterdir()
    return root, set(filter(None, tracked.split("\0")))


def test_the_source_distribution_has_every_tracked_file(unpacked):
    root, tracked = unpacked
    assert sorted(name for name in tracked if not (root / name).exists()) == []


@pytest.mark.slow
def test_the_source_distribution_s_tests_run(unpacked):
    root, _ = unpacked
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/stats", "tests/config"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
