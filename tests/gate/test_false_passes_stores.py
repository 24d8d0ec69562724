"""Ways to a pass that isn't one: a store that was changed."""

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fidelity.files import sha256_of
from tests.gate.study import COPY, MISSING, SHUFFLED, N, refused, row
from tests.manifests import edited


@pytest.fixture
def stored(study, tmp_path):
    """The folder of a comparison that fails, in a store of its own."""
    study.store = tmp_path / "store"
    study.copy(SHUFFLED)
    assert study.compare("quant.yaml")[0] == 1
    return the_one(study, "comparisons/base--quant-*")


def the_one(study, pattern):
    """The one folder of the store that fits."""
    (path,) = study.store.glob(pattern)
    return path


def rewritten(file, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(file)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), file)


def perfect(table: pa.Table) -> pa.Table:
    """Every number a 1."""
    for place, name in enumerate(table.column_names):
        if pa.types.is_floating(table[name].type):
            table = table.set_column(place, name, pa.array([1.0] * len(table)))
    return table


EDITS = {
    "no failed prompts": {"failed_prompts": [], "failures": {}},
    "other texts": {"same": {"texts": False, "token_ids": None, "logprobs": None}},
    "one candidate": {"candidates": 1},
    "another control": {"controls": []},
    "another reason to compare": {"compares": ["provider"]},
    "no extra prompts": {"extra_prompts": []},
    "independent controls": {"shared_answers": []},
    "a seal of another": {"seal": "0" * 64},
}


class TestStore:
    def judged_again(self, study, path):
        return study.fidelity("gate", "check", str(path), "--gate", "gate.yaml")

    def test_as_it_was_it_fails_again(self, study, stored):
        refused(self.judged_again(study, stored), "FAIL")

    def test_scores_that_were_changed(self, study, stored):
        for file in stored.glob("rouge-*.parquet"):
            rewritten(file, perfect)
        refused(self.judged_again(study, stored), "were changed after scoring")
        refused(study.compare("quant.yaml"), "were changed after scoring")

    def test_scores_of_another_comparison(self, study, stored):
        study.copy(COPY, "good")
        assert study.compare("good.yaml")[0] == 0
        good = the_one(study, "comparisons/base--good-*")
        for file in good.glob("*.parquet"):
            (stored / file.name).write_bytes(file.read_bytes())
        refused(self.judged_again(study, stored), "belong to another comparison")

    def test_scores_that_are_missing(self, study, stored):
        for file in stored.glob("rouge-*.parquet"):
            file.unlink()
        refused(self.judged_again(study, stored), r"rouge-\w+\.parquet: is missing, with the scores of rouge")

    def test_scores_that_are_cut_short(self, study, stored):
        for file in stored.glob("*.parquet"):
            file.write_bytes(file.read_bytes()[:-20])
        refused(self.judged_again(study, stored), "can't be read")

    def test_answers_that_were_changed(self, study, stored):
        run = the_one(study, "runs/quant-*")
        base = the_one(study, "runs/base-*")
        texts = pq.read_table(base / "generations.parquet")["text"]
        rewritten(
            run / "generations.parquet", lambda table: table.set_column(table.column_names.index("text"), "text", texts)
        )
        refused(study.compare("quant.yaml"), "was changed after it was written")

    def test_answers_of_another_run(self, study, stored):
        run = the_one(study, "runs/quant-*")
        base = the_one(study, "runs/base-*")
        (run / "generations.parquet").write_bytes((base / "generations.parquet").read_bytes())
        refused(study.compare("quant.yaml"), "was changed after it was written")

    def test_a_recording_that_changed_is_another_run(self, study, stored):
        study.copy(COPY[:60])
        refused(study.compare("quant.yaml"), MISSING)

    @pytest.mark.parametrize("missing", ["manifest.json", "."])
    def test_a_run_that_is_gone(self, study, stored, missing):
        run = the_one(study, "runs/quant-*")
        for file in run.iterdir():
            if missing in (".", file.name):
                file.unlink()
        refused(self.judged_again(study, stored), "quant-")

    def test_a_controls_comparison_is_no_candidates(self, study, stored):
        control = the_one(study, "comparisons/base--again-*")
        refused(self.judged_again(study, control), "not a finished comparison of a candidate")

    @pytest.mark.parametrize("case", EDITS)
    def test_a_comparison_that_was_edited(self, study, tmp_path, case):
        """What of a pairing decides a verdict is sealed with the rest of its record."""
        study.store = tmp_path / "store"
        study.copy(COPY, "other")
        study.copy([*COPY[:100], row(N, "More.")])
        study.compare("quant.yaml", "other.yaml")
        path = the_one(study, "comparisons/base--quant-*")
        manifest = json.loads((path / "manifest.json").read_text())
        assert all(manifest[key] != value for key, value in EDITS[case].items())
        (path / "manifest.json").write_text(json.dumps(manifest | EDITS[case]))
        refused(self.judged_again(study, path), "changed after it was written")
        refused(study.compare("quant.yaml"), "changed after it was written")

    def test_a_run_that_another_one_was_copied_over(self, study, stored):
        study.copy(COPY, "good")
        assert study.compare("good.yaml")[0] == 0
        good, quant = the_one(study, "runs/good-*"), the_one(study, "runs/quant-*")
        for file in good.iterdir():
            (quant / file.name).write_bytes(file.read_bytes())
        refused(self.judged_again(study, stored), "holds another run, good-")
        refused(study.compare("quant.yaml"), "holds another run, good-")

    def test_scores_of_answers_that_were_generated_again(self, study, tmp_path):
        """A run may have the digest that it had and other answers: an engine isn't the same twice."""
        study.store = tmp_path / "store"
        assert study.compare("quant.yaml")[0] == 0
        run = the_one(study, "runs/quant-*")
        texts = pa.array([one["text"] for one in SHUFFLED], pa.string())
        rewritten(
            run / "generations.parquet", lambda table: table.set_column(table.column_names.index("text"), "text", texts)
        )
        answers = sha256_of(run / "generations.parquet")
        edited(run / "manifest.json", lambda manifest: {**manifest, "answers_sha256": answers})
        stale = the_one(study, "comparisons/base--quant-*")
        refused(self.judged_again(study, stale), "quant has other answers now; run fidelity compare again")
        refused(study.compare("quant.yaml"), r"quant .*: 200 of 200 are worded differently")
