"""A comparison's pairs as a table of keys, categories and requested columns. Texts are read for one pair at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fidelity.comparison.answers import without_thinking
from fidelity.comparison.stored import load_comparison
from fidelity.errors import ConfigError, StoreError
from fidelity.records import ColumnNumbers, Generation, Prompt
from fidelity.report.pairs import worse
from fidelity.store.runs import Run

KEYS = ["prompt_id", "repeat"]
RANK = "rank of "


@dataclass(frozen=True, slots=True)
class OpenPair:
    """One pair with all texts."""

    prompt: Prompt
    baseline: Generation
    controls: tuple[tuple[str, Generation | None], ...]
    """The controls' names and answers; None for a control without an answer."""
    candidate: Generation
    runs: tuple[Run, ...]
    """The reasoning formats of the baseline, the candidate and the controls."""


def read_keys(comparison: Path) -> pd.DataFrame:
    """A row for each pair, in the store's order: `prompt_id`, `repeat`, `category`, and the rows of its texts.

    Raises:
        StoreError: A file of the comparison is missing or damaged.
    """
    result = load_comparison(comparison, only=())
    (candidate,) = result.candidates
    pairs = _keys(result.baseline, "baseline").merge(
        _keys(candidate.run, "candidate").drop(columns="category"), on=KEYS
    )
    if tuple(pairs["prompt_id"]) != candidate.prompt_ids:
        raise StoreError(f"{comparison}: its pairs don't match its runs; run fidelity compare again")
    for control in result.controls:
        answers = _keys(control.run, control.run.id).drop(columns="category")
        pairs = pairs.merge(answers, on=KEYS, how="left")
    return pairs


def read_columns(comparison: Path, names: Sequence[str], *, keys: pd.DataFrame | None = None) -> pd.DataFrame:
    """The pairs of `read_keys`, which can be given, with columns.

    Each judged column has `rank of NAME`, which is larger for a worse answer, and if there is a floor `excess of NAME`
    with the same numbers. NaN where unscored.

    Raises:
        StoreError: A file of the comparison is missing or damaged.
    """
    pairs = (read_keys(comparison) if keys is None else keys).copy(deep=False)
    result = load_comparison(comparison, only=set(names), lows=False)
    (candidate,) = result.candidates
    for name, scored in candidate.columns.items():
        pairs[name] = ColumnNumbers.of(scored.column.values).array
        if scored.column.better != "neither":
            pairs[rank_of(name)] = worse(result, candidate, name, scored.column)
            if result.controls:
                pairs[excess_of(name)] = pairs[rank_of(name)]
    return pairs


def excess_of(name: str) -> str:
    """The name of the column with another column's excess."""
    return f"excess of {name}"


def rank_of(name: str) -> str:
    """The name of the column that orders answers by another, the worst last."""
    return f"{RANK}{name}"


def read_pair(comparison: Path, pair: pd.Series) -> OpenPair:
    """Read the texts of one row of `read_columns`, with thinking separated from answers.

    Raises:
        StoreError: The texts can't be read.
    """
    result = load_comparison(comparison, only=())
    (candidate,) = result.candidates
    baseline_format, candidate_format = candidate.reasoning_formats
    prompt, response = result.baseline.prompt_and_response(int(pair["row in baseline"]))
    baseline = without_thinking(response, baseline_format)
    controls = []
    for control in result.controls:
        row = pair[f"row in {control.run.id}"]
        control_response = (
            None
            if pd.isna(row)
            else without_thinking(control.run.prompt_and_response(int(row))[1], control.reasoning_formats[1])
        )
        controls.append((control.run.name, control_response if isinstance(control_response, Generation) else None))
    _, response = candidate.run.prompt_and_response(int(pair["row in candidate"]))
    answer = without_thinking(response, candidate_format)
    if not isinstance(baseline, Generation) or not isinstance(answer, Generation):
        raise StoreError(f"{comparison}: the runs have changed; reload the page")
    runs = (result.baseline, candidate.run, *(control.run for control in result.controls))
    return OpenPair(prompt, baseline, tuple(controls), answer, runs)


def find_pair(comparison: Path, prompt_id: str, repeat: int) -> OpenPair | None:
    """Read the texts of a prompt's pair; None if the comparison has none.

    Raises:
        StoreError: The texts can't be read.
    """
    pairs = read_keys(comparison)
    own = pairs[(pairs["prompt_id"] == prompt_id) & (pairs["repeat"] == repeat)]
    return None if own.empty else read_pair(comparison, own.iloc[0])


def containing(comparison: Path, pairs: pd.DataFrame, words: str, *, is_regex: bool = False) -> pd.Series:
    """For each pair, whether its prompt or one of its answers contains a text or an expression, ignoring case.

    Expressions are those of RE2, which no text can make slow.

    Raises:
        StoreError: The comparison can't be read.
        ConfigError: The expression is invalid.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    result = load_comparison(comparison, only=())
    (candidate,) = result.candidates
    match = pc.match_substring_regex if is_regex else pc.match_substring
    rows = pd.Series(False, index=pairs.index)
    texts = (
        ("baseline", pa.chunked_array([result.baseline.prompt_texts()], pa.string())),
        ("baseline", result.baseline.read(["text"])["text"]),
        ("candidate", candidate.run.read(["text"])["text"]),
    )
    for side, column in texts:
        try:
            has = match(column, words, ignore_case=True).to_pandas()
        except pa.ArrowInvalid as error:
            raise ConfigError(f"{words!r} is not a regular expression: {error}") from error
        rows |= has.fillna(False).astype(bool).to_numpy()[pairs[f"row in {side}"]]
    return rows


def texts_of(comparison: Path, pairs: pd.DataFrame) -> pd.DataFrame:
    """The prompt and the answers of each pair, without thinking, and those of the controls as `control NAME`.

    Raises:
        StoreError: The comparison can't be read.
    """
    result = load_comparison(comparison, only=())
    (candidate,) = result.candidates
    texts = {(one.prompt.id, one.candidate.repeat): one for one in candidate.pairing.pairs}
    keys = list(zip(pairs["prompt_id"], pairs["repeat"], strict=True))
    table = pairs[KEYS].copy()
    table["prompt"] = [texts[key].prompt.text for key in keys]
    table["baseline"] = [texts[key].baseline.text for key in keys]
    table["candidate"] = [texts[key].candidate.text for key in keys]
    for control in result.controls:
        answers = {(one.prompt.id, one.candidate.repeat): one.candidate.text for one in control.pairing.pairs}
        table[f"control {control.run.name}"] = [answers.get(key) for key in keys]
    return table


def answers_of(run: Run, *, characters: bool = False) -> pd.DataFrame:
    """For each answer of a run: its keys, `tokens` (NaN without token ids), `finish`, and on request `characters`."""
    import pyarrow.compute as pc

    table = run.read([*KEYS, "token_ids", "finish_reason", "failure", *(["text"] if characters else [])])
    answered = table.filter(pc.is_null(table["failure"])) if table["failure"].null_count < len(table) else table
    lengths = {"tokens": pc.list_value_length(answered["token_ids"]).to_pandas()}
    if characters:
        lengths["characters"] = pc.utf8_length(answered["text"]).to_pandas()
    finish = answered["finish_reason"].to_pandas().fillna("not recorded")
    return pd.DataFrame({**{key: answered[key].to_pandas() for key in KEYS}, **lengths, "finish": finish})


def _keys(run: Run, side: str) -> pd.DataFrame:
    """The answered prompts of a run, with their row numbers."""
    table: pd.DataFrame = run.read([*KEYS, "category", "failure"]).to_pandas()
    table[f"row in {side}"] = range(len(table))
    return table[table["failure"].isna()].drop(columns="failure")
