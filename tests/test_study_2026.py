"""docs/study-2026.md: a part of its tables is rebuilt from the exported runs, and equals the page."""

import importlib
import re
import sys
import tomllib

import pytest
import yaml

from fidelity.dashboard.first_page import RECORDED
from fidelity.files import sha256_of
from fidelity.store.runs import Run
from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "results" / "2026-study"


@pytest.fixture
def module(monkeypatch):
    """Imports a file of the study."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "study_2026"))
    yield importlib.import_module
    for name in ("rebuild", "measures", "charts", "plan", "llama_cpp", "jobs"):
        sys.modules.pop(name, None)


@pytest.fixture
def study(module):
    """The rebuild command as a module."""
    return module("rebuild")


def rebuilt(study, store):
    """The tables of the family with answers of 1,024 tokens, after comparing its exported runs."""
    study.compare(store, ("sl",))
    tables = study.tables_of(study.Numbers(store, study.TOKENS, ("sl",)).rows)
    assert [line.split("`")[1] for line in tables["noise"].splitlines()[2:]] == [
        "sl-floor",
        "sl-w4a16-g64",
        "sl-w8a8-int8",
    ]
    return {name: table for name, table in tables.items() if name not in study.OF_ALL}


def test_the_words_of_one_family_are_those_of_the_page(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study, "METRICS", ("identical", "prefix_agreement", "length"))
    tables = rebuilt(study, tmp_path)
    assert " +0." in tables["formats"]
    assert study.differing(study.pages(), tables) == []


def test_what_tokens_and_readers_show_on_a_cpu_is_that_of_the_page(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study, "METRICS", ("identical", "length"))
    study.compare(tmp_path, ("c",))
    tables = study.tables_of(study.Numbers(tmp_path, study.TOKENS, ("c",)).rows)
    own = {name: table for name, table in tables.items() if table and name not in study.OF_ALL}
    assert {"cpu_tokens", "cpu_methods", "cpu_engine", "cpu_read", "cpu_agreement"} <= set(own)
    assert study.differing(study.pages(), own) == []


@pytest.mark.slow
def test_the_tables_of_one_family_are_those_of_the_page(study, tmp_path):
    tables = rebuilt(study, tmp_path)
    assert "conflict_any" in tables["formats"]
    assert study.differing(study.pages(), tables) == []


def test_survival_of_exported_runs_is_that_of_the_page(study):
    """Token ids alone are compared here, since only the runs are needed for it."""
    shown = study._marks("survival").search(study.pages()).group(1)
    runs = {run.name: run for path in sorted((FOLDER / "runs").iterdir()) for run in [Run(path)]}
    arena = {prompt.id for prompt in runs["sl-bf16"].prompts()}
    for name in ("sl-w8a8-int8", "sl-w4a16-g64"):
        base, other = (
            {o.prompt_id: o.token_ids for o in runs[n].outcomes() if hasattr(o, "token_ids")} for n in ("sl-bf16", name)
        )
        pairs = [(base[p], other[p]) for p in base if p in other and p in arena]
        cells = [
            f"{sum(a == b or (a[:n] == b[:n] and min(len(a), len(b)) >= n) for a, b in pairs) / len(pairs):.1%}"
            for n in study.PLACES
        ]
        assert f"| `{name}` | {' | '.join(cells)} |" in shown


def test_exported_runs_are_whole_and_name_no_machine():
    """Every run of the study's file is there, unchanged, and its manifest has no absolute path."""
    file = yaml.safe_load((FOLDER / "study.yaml").read_text(encoding="utf-8"))
    named = [
        run["engine"]["path"] for family in file["families"] for run in (family["baseline"], *family["candidates"])
    ]
    assert named
    for path in named:
        assert not Run(FOLDER / path).damage
    for manifest in (FOLDER / "runs").glob("*/manifest.json"):
        run = Run(manifest.parent)
        assert sha256_of(manifest.parent / "generations.parquet") == run.manifest.answers_sha256
        assert not re.search(r'"/(root|home|tmp|work)/', manifest.read_text(encoding="utf-8"))


def test_each_claim_names_a_table_and_a_row_that_exist(study):
    """Rows in code spans exist in the tables of the page."""
    page = study.pages()
    tables = {name: study._marks(name).search(page).group(1) for name in re.findall(r"<!-- table (\w+) -->", page)}
    prose = re.sub(r"<!-- table (\w+) -->.*?<!-- end -->", "", page, flags=re.DOTALL)
    rows = {row for table in tables.values() for row in re.findall(r"^\| (`[\w-]+`)", table, re.MULTILINE)}
    named = set(re.findall(r"`(?:s|g|p|si|gi|sl|c|cg)-[\w-]+`", prose))
    assert named
    assert named <= rows


def test_a_changed_number_is_noticed(study):
    one, other, less = ("| row | bytes |\n| --- | ---: |\n| `s-x` | " + cell + " |\n" for cell in ("1", "2", ""))
    page = f"<!-- table bytes -->\n{one}<!-- end -->"
    assert study.differing(page, {"bytes": one}) == []
    assert study.differing(page, {"bytes": less}) == []
    assert study.differing(page, {"bytes": other}) == ["bytes"]
    assert study.differing(study.filled(page, {"bytes": other}), {"bytes": other}) == []


@pytest.mark.parametrize(("options", "families"), [([], 6), (["--cpu"], 2)])
def test_every_run_of_a_plan_has_a_yaml(module, monkeypatch, tmp_path, options, families):
    monkeypatch.setattr(sys, "argv", ["plan.py", str(tmp_path), *options])
    module("plan").main()
    planned = yaml.safe_load((tmp_path / "yaml" / "study.yaml").read_text(encoding="utf-8"))["families"]
    assert len(planned) == families
    named = [name for family in planned for name in (family["baseline"], *family["candidates"])]
    assert len(set(named)) == len(named)
    assert {*named, "study.yaml"} == {path.name for path in (tmp_path / "yaml").iterdir()}


def test_q4_k_m_stores_smollm2_as_llama_cpp_does(module):
    """By hand for 30 layers: the first 3, those from 7 * 30 // 8 = 26 on, and between them every third, 5 to 23."""
    kind_of = module("llama_cpp").q4_k_m
    larger = [n for n in range(30) if kind_of(f"blk.{n}.ffn_down.weight", (576, 1536), 30) == "Q6_K"]
    assert larger == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    assert kind_of("blk.3.ffn_down.weight", (576, 1536), 30) == "Q4_K"
    assert kind_of("blk.3.attn_q.weight", (576, 576), 30) == "Q5_0"
    assert kind_of("blk.0.attn_v.weight", (192, 576), 30) == kind_of("token_embd.weight", (49152, 576), 30) == "Q8_0"
    assert kind_of("token_embd.weight", (49152, 2048), 30) == "Q6_K"


def test_labels_of_a_chart_hide_no_point_and_no_label(module):
    pytest.importorskip("altair")
    charts = module("charts")
    points, labels = [(100.0, 100.0), (104.0, 101.0), (140.0, 100.0), (100.0, 112.0)], ["w8a8-int8"] * 4
    places = charts.label_places(points, labels)
    boxes = [
        (x + dx, y + dy - 5, x + dx + 9 * charts.LETTER, y + dy + 5)
        for (x, y), (dx, dy) in zip(points, places, strict=True)
    ]
    for n, (left, top, right, bottom) in enumerate(boxes):
        assert not any(left < x < right and top < y < bottom for x, y in points)
        assert not any(left < b[2] and b[0] < right and top < b[3] and b[1] < bottom for b in boxes[:n])


def test_the_dashboard_s_sample_is_the_study():
    """The packaged answers are those of the exported runs, and the button opens them."""
    sample = ROOT / "fidelity" / "sample_data" / "study-2026"
    published = {run.name: run for run in map(Run, (FOLDER / "runs").iterdir())}
    runs = [Run(path) for path in (sample / "runs").iterdir()]
    assert len(runs) == 2 * (1 + 3 + 6)
    for run in runs:
        answers = {o.prompt_id: o for o in published[run.name].outcomes()}
        own = run.outcomes()
        assert len(own) == 200
        assert all(o == answers[o.prompt_id] for o in own)
    assert RECORDED == "sample_data/study-2026/study.yaml"
    study = yaml.safe_load((sample / "study.yaml").read_text(encoding="utf-8"))
    named = [one for family in study["families"] for one in (family["baseline"], *family["candidates"])]
    assert {one["name"] for one in named} == {run.name for run in runs if run.manifest.control_of is None}
    assert all((sample / one["engine"]["path"]).is_dir() for one in named)


def test_a_job_is_placed_on_the_gpu_with_the_fewest(module, tmp_path):
    queue = module("jobs").Queue(tmp_path, [], {}, 0, gpus=("0", "1"), placed={"a": "0", "b": "1", "c": "0", "d": "1"})
    for running, gpu in (("", "0"), ("a", "1"), ("ab", "0"), ("abc", "1"), ("bd", "0")):
        queue.running = dict.fromkeys(running)
        assert queue.least_used() == gpu


def test_what_a_gpu_host_lacks_is_carried_there():
    """A host with torch and vLLM has these; what else fidelity imports must be in the list that is carried."""
    there = {"jsonschema", "markdown-it-py", "numpy", "pydantic", "pygments", "pyyaml", "rich", "scipy"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=]", requirement)[0].lower() for requirement in project["dependencies"]}
    listed = (ROOT / "benchmarks" / "study_2026" / "host-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert needed - there <= {line.partition("==")[0] for line in listed}
