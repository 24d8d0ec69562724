"""A store that has one of everything, made without an engine."""

from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from fidelity.checkpoints.remembered import remember
from fidelity.encoders.cache import _Cache
from fidelity.records import Column, Generation, HiddenStates, Prompt
from fidelity.store.manifests import ColumnSource
from fidelity.store.measurements import Measurement
from fidelity.store.reviews import Review, add_review, answers_digest
from fidelity.store.store import Store
from fidelity.store.studies import Cell, StudyManifest, write_study
from fidelity.store.token_scores import Depth, scores_path, writing
from tests.manifests import comparison_manifest, run_draft
from tests.token_scores import of_probabilities

IDS = ("a", "b", "c")
PROMPTS = tuple(Prompt(name, f"{name}?") for name in IDS)
SIGNATURE, CHANCE = "rouge|version:1", "rouge|version:1|chance"


def make_store(root):
    """Two runs, their comparison, token scores, measurements, a study, and what is remembered."""
    store = Store(root)
    base, quant = (_run(store, name, digest) for name, digest in (("base", "aa" * 8), ("quant", "bb" * 8)))
    comparison = store.comparison(base, quant, comparison_manifest(base, quant, prompt_ids=IDS), "cc" * 8)
    column = Column("rougeL", (0.1, 0.2, None), better="higher", bounds=(0.0, 1.0), sides=(None, None, "candidate"))
    for signature in (SIGNATURE, CHANCE):
        comparison.add_columns(signature, [column])
    source = ColumnSource(signature=SIGNATURE, column="rougeL", chance=CHANCE)
    comparison = comparison.described(columns={"rougeL": source}, controls=())
    with writing(scores_path(quant, base, Depth(2))) as writer:
        writer.add_chunk(0, [of_probabilities([[0.5, 0.25, 0.25]], [1], top_k=2, prompt_id=name) for name in IDS])
        writer.add_texts({0: "x", 1: "y", 2: "z"})
        writer.complete(quant, base, Depth(2))
    _exact_scores(base)
    store.add_measurement(base, Measurement(seconds=2.5, tokens=3))
    cell = Cell(
        family="f", baseline="base", candidate="quant", format="W8", parameters=1, comparison=comparison.path.name
    )
    write_study(root, StudyManifest(name="sizes", cells=[cell], gate=None))
    add_review(root, vote(comparison.path.name, "a"))
    remember(store.remembered_hashes, {"weights": "ab" * 32})
    remember(root / "servers.json", {"http://server": {"model": "m"}})
    _Cache(root / "embeddings" / "encoder.sqlite").write("embedding", {b"k" * 20: b"v" * 64})
    return store


def vote(comparison, prompt_id, given="baseline better", *, reviewer="Ada", second=0, **more):
    """A vote on the answers of `make_store`, by the second at which it was given."""
    digest = answers_digest(f"base says {prompt_id}", f"quant says {prompt_id}")
    about = {"comparison": comparison, "prompt_id": prompt_id, "reviewer": reviewer, "vote": given}
    created = f"2026-01-01T00:00:{second:02}.000000+00:00"
    return Review(**{**about, "blind": False, "answers": digest, "created": created, **more})


def _exact_scores(run):
    """A run's hidden states at its own tokens, with a head that doubles them."""

    def write(file):
        save_file({"head": 2 * np.eye(3, dtype=np.float32)}, file)
        return {"dtype": "float32", "soft_cap": None, "scale": 1.0}

    depth = Depth(2, exact=True)
    with writing(scores_path(run, run, depth)) as writer:
        hidden = HiddenStates(np.log([[0.5, 0.25, 0.25]]).astype(np.float32) / 2, "float32", writer.add_head(write))
        one = of_probabilities([[0.5, 0.25, 0.25]], [1], top_k=2, prompt_id="a")
        writer.add_chunk(0, [replace(one, hidden=hidden)], exact=True)
        writer.complete(run, run, depth)


def make_unfinished(store):
    """A run that was killed: one finished chunk, one journal."""
    with store.writing("killed", "dd" * 8) as writer:
        writer.add_chunk(0, PROMPTS[:1], [_answer("a", "killed")])
        with writer.journal(1) as journal:
            for place, name in enumerate(IDS[1:]):
                journal.add(place, _answer(name, "killed"))
        writer.write_draft(run_draft("killed", digest="dd" * 8))
    return writer


def _run(store, name, digest):
    with store.writing(name, digest) as writer:
        writer.add_chunk(0, PROMPTS, [_answer(one, name) for one in IDS])
        return writer.complete(PROMPTS, run_draft(name, digest=digest))


def _answer(prompt_id, name):
    return Generation(prompt_id, f"{name} says {prompt_id}", (1, 2), (-0.5, -0.25), "stop")
