"""What the documentation names exists: files, headings, commands with their options, YAML keys, extras and columns."""

import contextlib
import io
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from fidelity.cli import main
from fidelity.config import RunConfig, parse_run
from fidelity.config.run import Sampling
from fidelity.errors import FidelityError
from fidelity.gate import Gate
from fidelity.metrics import every_metric
from fidelity.study.study import StudyFile

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "prompts").glob("*.md")])
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
PATH = re.compile(r"(?<![\w/.-])(?:tests|benchmarks|examples|fidelity|docs|prompts|requirements)/[\w./*-]*[\w*]")
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}[.\w]*$|\b[A-Z]+_page\.py$")
SCRIPT = re.compile(r"python ((?:benchmarks|examples|requirements)/\w+\.py)(.*)")
EVERY_FILE = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))


def missing(text, *, folder=ROOT):
    """What a Markdown text in a folder names and what doesn't exist."""
    code = [" ".join(span.split()) for span in SPAN.findall(FENCED.sub("", text))]
    shell = [body for language, body in FENCED.findall(text) if language in ("sh", "bash")]
    lines = [line.strip() for body in shell for line in body.replace("\\\n", " ").splitlines()] + code
    commands = [command.strip() for line in lines for command in line.partition("  #")[0].split("&&")]
    return [
        *(link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not _leads_somewhere(link, text, folder)),
        *(path for path in PATH.findall(re.sub(r"\]\([^)]*\)", "", text)) if not _exists(path, folder)),
        *(problem for command in commands for problem in _wrong_in(command)),
        *(extra for extra in _extras_in(text) if extra not in _extras()),
    ]


def refused(text):
    """The YAML examples of a Markdown text that fidelity would refuse, each with the reason."""
    return [reason for language, body in FENCED.findall(text) if language == "yaml" and (reason := _why_refused(body))]


def _leads_somewhere(link, text, folder):
    if link.startswith("https://"):
        return True
    path, _, heading = link.partition("#")
    target = folder / path
    if not target.exists() or not heading:
        return target.exists()
    titles = re.findall(
        r"^#+ (.*)$", FENCED.sub("", target.read_text(encoding="utf-8") if path else text), re.MULTILINE
    )
    return heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _exists(path, folder):
    return bool(PLACEHOLDER.search(path) or list(ROOT.glob(path)) or (folder / path).exists())


def _wrong_in(command):
    options = re.findall(r"(?<!\S)\[?(--[a-z-]+)", command)
    if script := SCRIPT.match(command):
        file = ROOT / script[1]
        source = file.read_text(encoding="utf-8") if file.exists() else ""
        return [f"{script[1]} {option}" for option in options if f'"{option}"' not in source]
    if target := re.match(r"make ([a-z]+)", command):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        return [] if re.search(rf"^{target[1]}:", makefile, re.MULTILINE) else [f"make {target[1]}"]
    if match := re.match(r"(?:python -m |\S*/)?fidelity ((?:gate|baseline|store|reviews) [a-z]+|[a-z-]+)", command):
        text = help_of(match[1])
        unknown = [option for option in options if not re.search(rf"{option}\b(?!-)", text)]
        return [f"fidelity {match[1]} {option}" for option in unknown] if text else [f"fidelity {match[1]}"]
    return []


@cache
def help_of(command):
    """What `fidelity COMMAND --help` prints; empty if there is no such command."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(SystemExit),
    ):
        main([*command.split(), "--help"])
    return printed.getvalue()


def _extras_in(text):
    return [extra for extras in re.findall(r"llm-fidelity\[([\w,]+)\]", text) for extra in extras.split(",")]


@cache
def _extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


def _why_refused(body):
    parts = body.splitlines() if len(set(keys := re.findall(r"^\w+(?=:)", body, re.MULTILINE))) < len(keys) else [body]
    for data in filter(None, map(yaml.safe_load, parts)):
        if isinstance(data, list):
            inputs = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"]
            if unknown := [name for step in data for name in step.get("with", {}) if name not in inputs]:
                return f"action.yml has no input {unknown[0]!r}"
            continue
        try:
            if body.startswith("# gate.yaml"):
                Gate.model_validate(data)
            elif body.startswith("# study.yaml"):
                StudyFile.model_validate(data)
            else:
                parse_run({"name": "run", "model": "org/model", "engine": {"kind": "vllm"}} | data, ROOT / "run.yaml")
        except (FidelityError, ValueError) as error:
            return str(error)
    return ""


@EVERY_FILE
def test_what_a_document_names_exists(file):
    assert missing(file.read_text(encoding="utf-8"), folder=file.parent) == []


@EVERY_FILE
def test_no_merge_left_its_marks(file):
    assert not re.search(r"^(<{7}|={7}|>{7})( |$)", file.read_text(encoding="utf-8"), re.MULTILINE)


@EVERY_FILE
def test_yaml_examples_are_accepted(file):
    assert refused(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[x](docs/nowhere.md)", "docs/nowhere.md"),
        ("[x](README.md#no-such-heading)", "README.md#no-such-heading"),
        ("see `tests/nowhere.py`.", "tests/nowhere.py"),
        ("`fidelity compare a.yaml b.yaml --gates g.yaml`", "fidelity compare --gates"),
        ("```sh\ncd x && fidelity gate init NAME --purposes strict\n```", "fidelity gate init --purposes"),
        ("`fidelity measure STORE`", "fidelity measure"),
        ("`python benchmarks/rouge.py DIRECTORY --rounds 3`", "benchmarks/rouge.py --rounds"),
        ("`make tests`", "make tests"),
        ("`pip install 'llm-fidelity[vllm,semantics]'`", "semantics"),
    ],
)
def test_a_name_of_nothing_is_reported(text, named):
    assert missing(text) == [named]


@pytest.mark.parametrize(
    "body",
    [
        "# gate.yaml\nmargin: {rougeL: 0.1}\n",
        "kl: none\nkl: {topk: 20}\n",
        "engine: {kind: vllm, dtypes: bfloat16}\n",
        "- uses: X\n  with: {base: a}\n",
    ],
)
def test_a_wrong_example_is_reported(body):
    assert len(refused(f"```yaml\n{body}```\n")) == 1


def test_every_column_has_a_place_in_the_guide():
    guide = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = {column.name.partition("[")[0] for metric in every_metric() for column in metric.score([])}
    assert [name for name in sorted(names) if f"`{name}`" not in guide] == []


def test_every_key_of_a_run_is_documented():
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    keys = [*RunConfig.model_fields, *Sampling.model_fields]
    assert [key for key in keys if f"`{key}`" not in page and f"`{key}:" not in page] == []
