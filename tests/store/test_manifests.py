"""Manifests as records: what is missing, unknown, of another type or of another version is named with file and key."""

import json

import pytest

from fidelity.errors import StoreError
from fidelity.store.manifests import ComparisonManifest, DivergenceCounts, RunManifest
from fidelity.store.record_files import SCHEMA_VERSION, read_record, write_record
from tests.conftest import ROOT
from tests.manifests import run_manifest


@pytest.fixture
def file(tmp_path):
    (tmp_path / "base-01234567").mkdir()
    return tmp_path / "base-01234567" / "manifest.json"


@pytest.fixture
def written(file):
    """Writes a manifest after a change to its JSON."""

    def written(change):
        write_record(file, run_manifest())
        data = json.loads(file.read_text())
        del data["seal"]
        change(data)
        file.write_text(json.dumps(data))

    return written


def test_a_record_comes_back_as_it_was(file):
    config = {"name": "base", "model": "m", "engine": {"kind": "vllm", "options": {"a": [1, {"b": None}]}}}
    layers = [{"kind": "linear", "format": "BF16", "kernel": None, "method": "x", "quantized": False, "count": 3}]
    manifest = run_manifest(
        config=config,
        sampling={"temperature": 0.7, "repeats": 2, "stop": ["x"]},
        identity={"kind": "vllm", "env": {"VLLM_USE_V1": "1"}, "options": {"a": [1, 2.5, None, True]}},
        engine={"kind": "vllm", "layers": layers, "end_tokens": [2, "</s>"], "versions": {"torch": "2"}},
        checkpoint={"format": "BF16", "bytes": 7},
        recorded_timings={"seconds": 1.5},
    )
    write_record(file, manifest)
    assert read_record(file, RunManifest) == manifest


def test_what_is_done_with_the_outputs_is_not_of_the_run(file):
    config = {"name": "base", "model": "m", "engine": {"kind": "vllm"}, "metrics": ["identical"], "price_per_hour": 2}
    write_record(file, run_manifest(config=config))
    assert not {"metrics", "price_per_hour"} & json.loads(file.read_text())["config"].keys()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.pop("digest"), "'digest' is missing"),
        (lambda m: m["counts"].pop("tokens"), "'counts.tokens' is missing"),
        (lambda m: m.update(colour="red"), "unknown key 'colour'"),
        (lambda m: m["engine"].update(speed=3), "unknown key 'engine.speed'"),
        (lambda m: m["checkpoint"].update(speed=3), "unknown key 'checkpoint.speed'"),
        (lambda m: m["config"]["engine"].update(dtyp=3), "unknown key 'dtyp'; did you mean 'dtype'?"),
        (lambda m: m.update(counts=[]), "'counts': Input should be"),
        (lambda m: m["counts"].update(failures="many"), "'counts.failures': Input should be a valid integer"),
        (lambda m: m.update(config=None), "'config': Input should be"),
        (lambda m: m.pop("schema_version"), "'schema_version' is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(file, written, change, reason):
    written(change)
    with pytest.raises(StoreError) as error:
        read_record(file, RunManifest)
    assert str(error.value).startswith(f"{file}: damaged (")
    assert reason in str(error.value)
    assert str(error.value).endswith("; delete the folder base-01234567 and run again")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "[" * 100_000, '{"schema_version": 2, "a": "\\ud800'])
def test_what_is_no_manifest_is_damaged(file, text):
    file.write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        read_record(file, RunManifest)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", None, [], {}, 1.5])
def test_another_version_is_refused(file, written, version):
    written(lambda m: m.update(schema_version=version))
    with pytest.raises(
        StoreError, match=f"this version of fidelity reads 1 to {SCHEMA_VERSION}; use the version that wrote it"
    ):
        read_record(file, RunManifest)


def test_the_first_version_had_no_subsets_and_null_for_an_unknown_checkpoint(file, written):
    def as_version_1(m):
        m.update(schema_version=1, checkpoint=None)
        for key in ("subset_of", "planned", "recorded_timings"):
            del m[key]

    written(as_version_1)
    assert read_record(file, RunManifest) == run_manifest()


@pytest.mark.parametrize("file", sorted(ROOT.glob("docs/results/**/runs/*/manifest.json")), ids=lambda f: f.parent.name)
def test_the_manifests_of_published_results_are_read(file):
    manifest = read_record(file, RunManifest)
    assert file.parent.name == f"{manifest.name}-{manifest.digest[:8]}"
    assert manifest.counts.generations > 0
    if manifest.engine.kind == "llama.cpp":  # reports its file's type, and no layers
        assert manifest.engine.ran_as
    else:
        assert manifest.engine.layers


def test_a_control_s_comparison_of_version_1_has_what_came_later(file):
    old = {
        "schema_version": 1,
        "baseline": "a-1",
        "candidate": "b-1",
        "created": "2026-01-01",
        "prompt_ids": ["p", "q"],
        "failures": {},
        "failed_prompts": [],
        "same": {"texts": False, "token_ids": None, "logprobs": None},
        "habits": [{"form": "think", "tags": ["<t>", "</t>"], "closes_only": True, "begins_inside": False}] * 2,
        "partings": {"answers": 2, "parted": 1, "near_ties": 1, "minds_changed": 0},
    }
    file.write_text(json.dumps(old))
    manifest = read_record(file, ComparisonManifest)
    assert manifest.divergence == DivergenceCounts(answers=2, diverged=1, near_ties=1, minds_changed=0)
    assert manifest.reasoning_formats[1].tags == ("<t>", "</t>")
    assert (manifest.controls, manifest.columns, manifest.reasoning) == (None, {}, None)
    for key in ("habits", "partings"):
        del old[key]
    file.write_text(json.dumps(old))
    assert read_record(file, ComparisonManifest).divergence is None
