"""Chunks in any order become one table in the order of the prompts, with the same rows."""

import random

import pytest

from fidelity.errors import StoreError
from fidelity.files import read_parquet
from fidelity.records import Failure, Generation, Prompt
from fidelity.store import run_chunks
from fidelity.store.run_chunks import join_chunks, write_rows
from fidelity.store.run_tables import row_of, run_schema

PROMPTS = [Prompt(f"p{n}", f"Ünï {n}") for n in range(11)]
ANSWERS = [
    Failure(prompt.id, "refused", repeat, cause="world")
    if (number, repeat) == (4, 1)
    else Generation(prompt.id, f"text {number}", (number, 7), (-0.1, -0.25), "stop", repeat, prompt_tokens=number)
    for repeat in range(2)
    for number, prompt in enumerate(PROMPTS)
]


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(run_chunks, "ROWS_READ_AT_ONCE", 3)


def written(folder, answers, *, sizes=(5, 9, 8), schema=None):
    of_prompt = {prompt.id: prompt for prompt in PROMPTS}
    rows, files = iter([row_of(of_prompt[answer.prompt_id], answer) for answer in answers]), []
    for number, size in enumerate(sizes):
        files.append(folder / f"chunk-{number}.parquet")
        write_rows(files[-1], schema or run_schema(), iter([row for _, row in zip(range(size), rows, strict=False)]))
    return files


def test_the_order_of_the_chunks_changes_nothing(tmp_path):
    shuffled = random.Random(1).sample(ANSWERS, len(ANSWERS))
    counts = join_chunks(written(tmp_path, shuffled), PROMPTS, tmp_path / "all.parquet")
    table = read_parquet(tmp_path / "all.parquet")
    asked = [prompt for _ in range(2) for prompt in PROMPTS]
    assert table.to_pylist() == [
        dict.fromkeys(run_schema().names) | stored
        for stored in (as_stored(row_of(prompt, answer)) for prompt, answer in zip(asked, ANSWERS, strict=True))
    ]
    assert counts.model_dump() == {
        "prompts": 11, "generations": 21, "failures": 1, "tokens": 42, "longest_prompt": 10, "world_failures": 1
    }  # fmt: skip


def as_stored(row):
    """Log-probabilities in single precision, and lists in place of tuples."""
    import numpy as np

    logprobs = row.get("logprobs")
    changed = {"logprobs": logprobs and np.float32(logprobs).tolist(), "token_ids": list(row.get("token_ids") or [])}
    return row | (changed if "failure" not in row else {})


def test_rows_of_other_prompts_are_left_out(tmp_path):
    counts = join_chunks(written(tmp_path, ANSWERS), PROMPTS[3:6], tmp_path / "all.parquet")
    assert read_parquet(tmp_path / "all.parquet")["prompt_id"].to_pylist() == ["p3", "p4", "p5"] * 2
    assert (counts.prompts, counts.generations, counts.failures) == (3, 5, 1)


def test_a_prompt_without_an_answer_and_one_with_two_are_refused(tmp_path):
    files = written(tmp_path, ANSWERS[:9], sizes=(5, 4))
    with pytest.raises(StoreError, match="no answer to 'p10'"):
        join_chunks(files, PROMPTS, tmp_path / "all.parquet")
    with pytest.raises(StoreError, match="an answer twice"):
        join_chunks([*files, files[0]], PROMPTS[:9], tmp_path / "all.parquet")


def test_a_chunk_of_an_older_version_lacks_columns(tmp_path):
    old = run_schema().remove(run_schema().get_field_index("score"))
    files = [*written(tmp_path, ANSWERS[:11], sizes=(11,), schema=old)]
    join_chunks(files, PROMPTS, tmp_path / "all.parquet")
    assert "score" not in read_parquet(tmp_path / "all.parquet").column_names
