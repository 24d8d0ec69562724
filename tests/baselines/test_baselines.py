"""Baselines as files to commit: what comes back, what is refused, and whether they still fit."""

import json

import pytest

from fidelity import baselines
from fidelity.checkpoints import fingerprint
from fidelity.children import describing
from fidelity.config import Sampling, load_run
from fidelity.engines import identity
from fidelity.errors import ConfigError, StoreError
from fidelity.metrics.identical import Identical
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.records import Failure, Generation, Message, Prompt
from fidelity.store.store import Store
from tests.conftest import Silent
from tests.manifests import run_draft

METRICS = (Identical(),)
PROMPTS = (
    Prompt("a", "α?\u2028\n", "greek"),
    Prompt("b", (Message("system", "s"), Message("user", "u"))),
    Prompt("c", "c"),
)
OUTCOMES = (
    Generation("a", "NUL \x00, \u2028, 😀 and\r\nlines", (1, 2), (-0.1, -1e-9), "stop", reasoning="hm"),
    Failure("b", "too long"),
    Generation("c", ""),
)


def stored_run(store, name="base", digest="0123456789abcdef", created="2026-01-01T00:00:00+00:00", **keys):
    with store.writing(name, digest) as writer:
        writer.add_chunk(0, PROMPTS, OUTCOMES)
        return writer.complete(PROMPTS, run_draft(name, digest=digest, created=created, **keys))


def tree(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_an_engine_other_than_vllm_fits_while_its_identity_is_the_same(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"dtype": "bfloat16"}')

    def configured(**engine):
        run = {"name": "base", "model": "model", "engine": {"kind": "transformers", **engine}, "prompts": "none.jsonl"}
        (tmp_path / "base.yaml").write_text(json.dumps(run))
        return load_run(tmp_path / "base.yaml")

    config, remembered = configured(), tmp_path / "hashes.json"
    made = {"config": config.model_dump(mode="json"), "identity": identity(config, remembered=remembered)}
    made |= {"sampling": Sampling().model_dump(mode="json"), "chunk": 128}
    baselines.export([stored_run(Store(tmp_path / "store"), **made)], tmp_path / "kept")

    def differing(config):
        findings = baselines.check(tmp_path / "kept", config=config, remembered=remembered)
        return {finding.what: finding.detail for finding in findings if finding.fits is False}

    assert set(differing(config)) == {"controls"}  # none were exported
    assert differing(configured(batch=4))["batch"] == "batch was 16, is 4"
    (tmp_path / "model" / "config.json").write_text("{}")
    assert set(differing(config)) == {"controls", "model"}


class TestFiles:
    def test_what_comes_back_is_what_was_there(self, tmp_path):
        runs = [stored_run(Store(tmp_path / "one")), stored_run(Store(tmp_path / "one"), "base.control1", "fedcba98")]
        baselines.export(runs, tmp_path / "kept")
        back = baselines.adopt(tmp_path / "kept", Store(tmp_path / "two"))
        assert [run.manifest for run in back] == [run.manifest for run in runs]
        for run in back:
            assert run.prompts() == PROMPTS
            # float32 on disk, as in the run itself
            assert run.outcomes() == runs[0].outcomes()
            assert run.rows.schema.equals(runs[0].rows.schema)
        assert baselines.adopt(tmp_path / "kept", Store(tmp_path / "two")) == back

    def test_a_reviewer_reads_a_line_per_answer(self, tmp_path):
        baselines.export([stored_run(Store(tmp_path / "one"))], tmp_path / "kept")
        lines = (tmp_path / "kept" / "answers" / "base.jsonl").read_bytes().split(b"\n")
        assert json.loads(lines[1]) == {"id": "b", "failure": "too long"}
        assert "😀".encode() in lines[0]

    def test_the_same_runs_give_the_same_bytes(self, tmp_path):
        run = stored_run(Store(tmp_path / "one"))
        baselines.export([run], tmp_path / "kept")
        before = tree(tmp_path / "kept")
        baselines.export([run], tmp_path / "kept")
        baselines.export([run], tmp_path / "again")
        assert tree(tmp_path / "kept") == tree(tmp_path / "again") == before

    @pytest.mark.parametrize("other", [{"digest": "ffffffff"}, {"created": "2026-02-02T00:00:00+00:00"}])
    def test_another_baseline_takes_its_place_only_when_told(self, tmp_path, other):
        baselines.export([stored_run(Store(tmp_path / "one"), "old")], tmp_path / "kept")
        before = tree(tmp_path / "kept")
        new = stored_run(Store(tmp_path / "two"), "new", **other)
        with pytest.raises(
            ConfigError, match=r"already contains another baseline, old of 2026-01-01.*replace it with --repl"
        ):
            baselines.export([new], tmp_path / "kept")
        assert tree(tmp_path / "kept") == before
        (tmp_path / "kept" / "README.md").write_text("mine")
        baselines.export([new], tmp_path / "kept", replace=True)
        assert set(tree(tmp_path / "kept")) == {
            ".gitattributes", "README.md", "baseline.json", "prompts.jsonl", "answers/new.jsonl", "tokens/new.parquet"
        }  # fmt: skip

    @pytest.mark.parametrize("name", ["answers/base.jsonl", "tokens/base.parquet", "prompts.jsonl"])
    @pytest.mark.parametrize("content", [b"", None])
    def test_what_was_changed_by_hand_is_refused(self, tmp_path, name, content):
        baselines.export([stored_run(Store(tmp_path / "one"))], tmp_path / "kept")
        file = tmp_path / "kept" / name
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(StoreError, match=f"{file.name}: was changed after the export"):
            baselines.adopt(tmp_path / "kept", Store(tmp_path / "two"))

    @pytest.mark.parametrize(("index", "message"), [("{", "damaged"), ('{"schema_version": 9}', "schema version 9")])
    def test_an_index_that_is_wrong(self, tmp_path, index, message):
        (tmp_path / "baseline.json").write_text(index)
        with pytest.raises(StoreError, match=message):
            baselines.adopt(tmp_path, Store(tmp_path / "two"))

    def test_a_store_with_another_run_of_the_same_digest(self, tmp_path):
        baselines.export([stored_run(Store(tmp_path / "one"))], tmp_path / "kept")
        stored_run(Store(tmp_path / "two"), created="2026-02-02T00:00:00+00:00")
        with pytest.raises(StoreError, match="another run with the same digest"):
            baselines.adopt(tmp_path / "kept", Store(tmp_path / "two"))

    def test_small(self, fidelity, workspace):
        """The recordings: 64 answers, a control, 18,500 tokens with their logprobs; their JSONL has 376 kB."""
        from tests.conftest import ROOT

        fidelity("baseline", "export", ROOT / "examples" / "recordings" / "bf16.yaml", "kept")
        assert sum(map(len, tree(workspace.folder / "kept").values())) < 200_000


class TestUse:
    @pytest.fixture(autouse=True)
    def _exported(self, fake_vllm, workspace, fidelity):
        workspace.prompts(*(f"question number {n}" for n in range(20)))
        (workspace.folder / "model" / "chat_template.jinja").write_text("{{ messages }}")
        code, out, _ = fidelity("baseline", "export", workspace.baseline(chunk=6), "kept")
        assert code == 0
        assert "base and 1 control; commit it" in out

    @pytest.fixture
    def stored(self, workspace):
        return workspace.run("kept", model=None, engine={"kind": "stored", "path": "kept"})

    def compare(self, workspace, *paths, store="fresh", metrics=METRICS, **keys):
        base, *candidates = [load_run(path) for path in paths]
        listener = Silent()
        request = ComparisonRequest(base, candidates, metrics, **keys)
        result = compare(request, store=Store(workspace.folder / store), listener=listener)
        return result, [line for line in listener.messages if isinstance(line, str)]

    def test_a_pipeline_generates_only_the_candidate(self, workspace, stored):
        here, _ = self.compare(
            workspace, workspace.folder / "base.yaml", workspace.run("quant"), store="fidelity-store"
        )
        there, messages = self.compare(workspace, stored, workspace.run("quant"))
        assert messages == ["quant: opening vllm ..."]
        assert [control.run.name for control in there.controls] == ["base.control1"]
        (one,), (other,) = here.candidates, there.candidates
        assert one.run.manifest.digest == other.run.manifest.digest
        assert one.columns == other.columns
        assert here.controls[0].columns == there.controls[0].columns

    def test_a_part_of_the_prompts(self, workspace, stored):
        result, _ = self.compare(
            workspace, stored, workspace.run("quant"), limit=5, metrics=[Identical(), PrefixAgreement()]
        )
        (quant,) = result.candidates
        assert quant.prompt_ids == ("p0", "p1", "p2", "p3", "p4")
        assert quant.run.manifest.subset_of == result.baseline.manifest.prompts_digest
        assert len(result.controls[0].prompt_ids) == 20

    def test_another_prompt_set_is_still_refused(self, workspace, stored):
        candidate = workspace.run("quant", control="none", prompts="prompts.jsonl", sampling={"max_tokens": 8})
        workspace.prompts("one", "two")
        (run,) = generate(load_run(candidate), store=Store(workspace.store), listener=Silent())
        other = workspace.run("other", model=None, engine={"kind": "stored", "path": str(run.path)})
        result, _ = self.compare(workspace, stored, other)
        assert "have different prompts" in result.not_compared["other"]

    def test_stored_runs_are_exported_too(self, workspace, fidelity, stored):
        assert fidelity("baseline", "export", stored, "second")[0] == 0
        assert tree(workspace.folder / "second").keys() == tree(workspace.folder / "kept").keys()

    def test_promotion_is_explicit(self, workspace, fidelity):
        other = workspace.baseline(chunk=7)
        code, _, error = fidelity("baseline", "export", other, "kept")
        assert code == 2
        assert "replace it with --replace" in error
        assert fidelity("baseline", "export", other, "kept", "--replace")[0] == 0


class TestCheck:
    @pytest.fixture(autouse=True)
    def _exported(self, fake_vllm, workspace, fidelity):
        workspace.prompts("one", "two", "three", "four")
        (workspace.folder / "model" / "chat_template.jinja").write_text("{{ messages }}")
        workspace.baseline()
        fidelity("baseline", "export", "base.yaml", "deep/kept")

    def test_it_fits(self, fidelity):
        code, out, _ = fidelity("baseline", "check", "deep/kept")
        assert code == 0
        assert out.splitlines()[-1] == "deep/kept: matches"
        assert "same        model" in out

    def test_no_path_of_this_machine_is_in_it(self, workspace):
        index = (workspace.folder / "deep" / "kept" / "baseline.json").read_text()
        assert str(workspace.folder) not in index
        assert '"model": "../../model"' in index

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"sampling": {"max_tokens": 9}}, "DIFFERS     sampling: max_tokens was 8, is 9"),
            (
                {"engine": {"kind": "vllm", "dtype": "float32"}},
                "DIFFERS     engine options: dtype was None, is float32",
            ),
            ({"control": {"repeats": 2}}, "DIFFERS     controls: 1 exported, 2 wanted"),
            ({"chunk": 3}, "DIFFERS     batching: batching was continuous, is drained, 3"),
        ],
    )
    def test_against_the_yaml_as_it_is_now(self, fidelity, workspace, change, message):
        code, out, _ = fidelity("baseline", "check", "deep/kept", workspace.baseline(**change))
        assert code == 2
        assert message in out
        assert "no longer matches" in out

    def test_prompts(self, fidelity, workspace):
        workspace.prompts("one", "2", "three", "four", "five")
        code, out, _ = fidelity("baseline", "check", "deep/kept")
        assert code == 2
        assert "DIFFERS     prompts: 1 new (such as 'p4'), 1 changed (such as 'p1')" in out

    def test_model_and_chat_template(self, fidelity, workspace):
        (workspace.folder / "model" / "chat_template.jinja").write_text("another")
        code, out, _ = fidelity("baseline", "check", "deep/kept")
        assert code == 2
        assert "DIFFERS     model: hash of its files was" in out
        assert "DIFFERS     chat template: " in out
        (workspace.folder / "model" / "chat_template.jinja").write_text("{{ messages }}")
        (workspace.folder / "model" / "config.json").write_text("{}")
        _, out, _ = fidelity("baseline", "check", "deep/kept")
        assert "same        chat template" in out

    def test_engine_version_and_hardware(self, fidelity, monkeypatch):
        monkeypatch.setattr("fidelity.engines.vllm.vllm_version", lambda: "0.99.0+cpu")
        monkeypatch.setattr("fidelity.engines.vllm.cpu_name", lambda: "Abacus x1")
        code, out, _ = fidelity("baseline", "check", "deep/kept")
        assert code == 2
        assert "is 0.99.0+cpu" in out
        assert "DIFFERS     hardware: hardware was" in out

    def test_what_is_not_here_can_not_be_told(self, fidelity, workspace):
        (workspace.folder / "model").rename(workspace.folder / "moved")
        code, out, _ = fidelity("baseline", "check", "deep/kept")
        assert code == 0
        assert "can't tell  model: " in out
        assert "matches as far as it can be checked on this machine" in out

    def test_what_is_no_baseline(self, fidelity):
        code, _, error = fidelity("baseline", "check", "model")
        assert code == 2
        assert "not an exported baseline" in error

    def test_the_template_is_known_by_what_the_engine_says(self):
        assert fingerprint({"default": "x", "tool": "y"}) == describing.fingerprint({"tool": "y", "default": "x"})
        assert fingerprint(None) is None
