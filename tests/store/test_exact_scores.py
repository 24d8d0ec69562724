"""Whole distributions on disk: those of today, as hidden states, and those of older versions."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from fidelity.errors import StoreError
from fidelity.metrics.exact_distributions import exact_values
from fidelity.metrics.token_divergence import exact_kl
from fidelity.records import Failure
from fidelity.store import token_scores
from fidelity.store.scored_pairs import both_scored, together
from fidelity.store.store import Store
from fidelity.store.token_scores import Depth, StoredScores, adopt_scores, scores_of, scores_path, writing
from tests.store.whole_store import make_store
from tests.token_scores import of_probabilities

P, Q = [[0.5, 0.25, 0.25]], [[0.25, 0.5, 0.25]]


@pytest.fixture
def runs(tmp_path):
    store = make_store(tmp_path / "store")
    return {run.name: run for run in store.runs()}


def write(run, baseline, depth, scores, **keys):
    with writing(scores_path(run, baseline, depth)) as writer:
        writer.add_chunk(0, [scores], **keys)
        writer.complete(run, baseline, depth)


def test_whole_vocabularies_of_older_versions_are_read_with_the_same_numbers(runs):
    base, quant, depth = runs["base"], runs["quant"], Depth(-1, 20, 128)
    known = [quant.manifest.digest, base.manifest.digest, {"top_k": -1, "prompts": 20, "tokens": 128}]
    name = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:8]
    assert scores_path(quant, base, depth).name == f"quant-on-base-{name}"
    p, q = of_probabilities(P, [1], prompt_id="a"), of_probabilities(Q, [1], prompt_id="a")
    write(base, base, depth, p)
    write(quant, base, depth, q)
    ((own, other),) = both_scored(base, quant, whole_vocabulary=True)
    assert exact_values(own, other).kl.tolist() == exact_kl(p, q).tolist()
    assert exact_values(own, other).acceptance == pytest.approx([0.75], abs=1e-6)


def test_hidden_states_come_back_with_their_head(runs):
    base = runs["base"]
    ((own, other),) = both_scored(base, base, whole_vocabulary=True)
    assert own.hidden.head is other.hidden.head  # one on the device for both
    assert np.exp(own.hidden.values * 2) == pytest.approx(np.array(P), abs=1e-6)
    assert exact_values(own, other).kl.tolist() == [0.0]


def test_a_copied_run_takes_its_head_along(runs, tmp_path):
    base = runs["base"]
    adopt_scores(base, tmp_path / "other")
    copied = Store(tmp_path / "other").adopt(base)
    ((own, _),) = both_scored(copied, copied, whole_vocabulary=True)
    assert own.hidden.head.matrix.shape == (3, 3)


def test_a_head_that_is_gone_is_named(runs, tmp_path):
    base = runs["base"]
    (matrix,) = (tmp_path / "store" / "heads").glob("*/head.safetensors")
    matrix.unlink()
    with pytest.raises(StoreError, match="is missing"):
        list(both_scored(base, base, whole_vocabulary=True))


def test_an_engine_that_has_no_hidden_states_leaves_the_other_scores(runs):
    base, quant, depth = runs["base"], runs["quant"], Depth(2, exact=True)
    why = "the model is spread over 2 processes"
    write(quant, base, depth, replace(of_probabilities(Q, [1], top_k=2, prompt_id="a"), hidden=why), exact=True)
    assert together(base, quant, whole_vocabulary=True) == why
    ((_, other),) = both_scored(base, quant, whole_vocabulary=False)
    assert other.hidden is None
    assert why in {scores.manifest.refused for scores in scores_of(quant)}


def test_small_files_that_are_read_at_once_have_the_scores_of_those_read_by_answer(runs, monkeypatch):
    base, quant, depth = runs["base"], runs["quant"], Depth(3)
    answers = [
        replace(of_probabilities([row] * n, [n % 3] * n, top_k=2, prompt_id=name), prompt_id=name)
        for n, (name, row) in enumerate(
            zip("abc", [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], strict=True), 1
        )
    ]
    with writing(scores_path(quant, base, depth)) as writer:
        writer.add_chunk(0, [answers[2], Failure("d", "gone"), answers[0]])
        writer.add_chunk(1, [answers[1]])
        path = writer.complete(quant, base, depth).path
    monkeypatch.setattr(token_scores, "HELD_BYTES", 0)
    by_answer, at_once = StoredScores(path), StoredScores(path)
    at_once._room = 1 << 20
    assert by_answer.keys == at_once.keys == [("a", 0), ("b", 0), ("c", 0), ("d", 0)]
    for wanted in answers:
        for stored in (by_answer, at_once):
            read = stored.get(wanted.prompt_id)
            for name in ("token_ids", "logprobs", "ranks", "top_ids", "top_logprobs"):
                np.testing.assert_array_equal(getattr(read, name), getattr(wanted, name))
    assert by_answer.get("d") is None
    assert at_once.get("d") is None
    assert set(by_answer._held.values()) == {None}
    assert None not in at_once._held.values()
