"""Comparing from Python: runs given by file or config, and outputs given as texts."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, overload

from fidelity.api.result import ComparisonResult
from fidelity.api.texts import Outputs, is_texts, write_texts
from fidelity.comparison.metric_choice import choose_metrics
from fidelity.comparison.results import ComparisonSet
from fidelity.config import RunConfig
from fidelity.errors import ConfigError
from fidelity.metrics import Metric
from fidelity.pipeline import ComparisonRequest
from fidelity.pipeline import compare as compare_runs
from fidelity.runs.sources import Source, config_of, run_name, with_control
from fidelity.store.store import Store

STORE = "fidelity-store"
logger = logging.getLogger("fidelity")


class LogListener:
    """Sends a comparison's messages to the logger `fidelity` at INFO, and its progress at DEBUG."""

    def say(self, text: str) -> None:
        """See `Listener.say`."""
        logger.info(text)

    def progress(self, run: str, done: int, total: int, tokens: int, seconds: float) -> None:
        """See `Listener.progress`."""
        logger.debug("%s: %d of %d answers, %d tokens, %.1f s", run, done, total, tokens, seconds)


@overload
def compare(
    baseline: Source,
    candidates: Source | Sequence[Source],
    *,
    control: int | Source | Sequence[Source] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    limit: int | None = None,
    store: str | os.PathLike[str] = STORE,
    workers: int = 1,
) -> ComparisonResult: ...


@overload
def compare(
    baseline: Outputs,
    candidates: Outputs | Mapping[str, Outputs],
    *,
    control: Outputs | Sequence[Outputs] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    prompts: Sequence[str] | None = None,
    workers: int = 1,
) -> ComparisonResult: ...


def compare(
    baseline: Any,
    candidates: Any,
    *,
    control: Any = None,
    metrics: Sequence[str | Metric] | None = None,
    limit: int | None = None,
    store: str | os.PathLike[str] = STORE,
    prompts: Sequence[str] | None = None,
    workers: int = 1,
) -> ComparisonResult:
    """Compare one or more candidates with a baseline, generating the runs that are missing.

    Progress is logged to the logger `fidelity`.

    Args:
        baseline: A run's YAML file or `RunConfig`, a recorded file (.jsonl, .parquet), the directory of a finished run
            or of an exported baseline; or the outputs themselves, as in `compare_texts`.
        candidates: One such run or a list of runs. For texts: one candidate's texts, or a mapping from names to texts.
        control: The baseline's controls, for the noise floor: how many to generate (0 for none), or the files or
            texts of one or more controls. Default: as in the baseline's YAML.
        metrics: Metrics or their kinds (`"rouge"`). Default: those of the baseline's YAML, else the default set.
        limit: Use only this many prompts of files and runs.
        store: The directory for runs and scores. What it already has is not generated or scored again.
        prompts: The prompts, if outputs are given as lists of texts. Files and runs contain their prompts.
        workers: How many processes may score; they start only where that saves time, and change no number. With more
            than one, a script needs `if __name__ == "__main__":`, because each process imports it.

    Raises:
        FidelityError: The baseline or a setting is invalid. An invalid candidate is listed in `not_compared` instead.
    """
    if not isinstance(baseline, RunConfig | str | os.PathLike):
        return compare_texts(baseline, candidates, control, prompts=prompts, metrics=metrics, workers=workers)
    config = with_control(config_of(baseline), control)
    several = isinstance(candidates, Sequence) and not isinstance(candidates, str)
    others = [config_of(source) for source in (candidates if several else [candidates])]
    return ComparisonResult(_compare_runs(config, others, metrics, Path(store), limit=limit, workers=workers))


def compare_texts(
    baseline: Outputs,
    candidate: Outputs | Mapping[str, Outputs],
    control: Outputs | Sequence[Outputs] | None = None,
    *,
    prompts: Sequence[str] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    workers: int = 1,
) -> ComparisonResult:
    """Compare outputs given as texts. Nothing is generated, and no file remains on disk.

    Args:
        baseline: The unquantized model's outputs, in the prompts' order or by prompt id. None means no output.
        candidate: The quantized model's answers to the same prompts; or a mapping from candidate names to answers.
        control: Outputs of the unquantized model from another batch or seed, or a list of several such. Without a
            control there is no floor, and a difference can be the baseline's noise.
        prompts: The prompts in the order of the outputs, shown in reports.
        metrics: Metrics or their kinds (`"rouge"`). Default: the installed metrics of the default set.
        workers: How many processes may score; see `compare`.

    Raises:
        ConfigError: There are no outputs, or their number differs from that of the prompts or of the baseline's.
    """
    controls = _controls(control)
    candidates = _candidates(candidate)
    if taken := {"baseline", *controls} & candidates.keys():
        raise ConfigError(f"the name {min(taken)!r} is used by one of the baseline's runs; rename the candidate")
    runs = {"baseline": baseline, **controls, **candidates}
    _check_lengths(runs)
    folder = Path(mkdtemp(prefix="fidelity-"))
    try:
        files = {name: write_texts(name, texts, folder, prompts=prompts) for name, texts in runs.items()}
        config = with_control(config_of(files["baseline"]), [files[name] for name in controls] or None)
        others = [config_of(files[name]) for name in candidates]
        result = _compare_runs(config, others, metrics, folder / "store", workers=workers)
        return ComparisonResult(result, temporary=folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _controls(control: Outputs | Sequence[Outputs] | None) -> dict[str, Outputs]:
    if control is None:
        return {}
    if is_texts(control):
        return {"control": control}
    return {f"control{n}": _checked(f"control{n}", texts) for n, texts in enumerate(control, 1)}


def _candidates(candidate: Outputs | Mapping[str, Outputs]) -> dict[str, Outputs]:
    if is_texts(candidate):
        return {"candidate": candidate}
    named = candidate.items() if isinstance(candidate, Mapping) else ()
    return {run_name(name): _checked(name, texts) for name, texts in named}


def _checked(name: str, texts: object) -> Outputs:
    if not is_texts(texts):
        raise ConfigError(f"{name}: expected a list of texts, got {type(texts).__name__}")
    return texts


def _compare_runs(
    baseline: RunConfig,
    candidates: Sequence[RunConfig],
    metrics: Sequence[str | Metric] | None,
    store: Path,
    *,
    limit: int | None = None,
    workers: int,
) -> ComparisonSet:
    if workers < 1:
        raise ConfigError(f"workers: must be at least 1, got {workers}")
    chosen = choose_metrics(baseline, metrics, on_left_out=logger.warning)
    request = ComparisonRequest(baseline, candidates, chosen, limit=limit, workers=workers)
    return compare_runs(request, store=Store(store), listener=LogListener())


def _check_lengths(runs: Mapping[str, Outputs]) -> None:
    """Check the lengths, since lists have no ids that would reveal a missing output."""
    expected = len(runs["baseline"])
    for name, texts in runs.items():
        if not isinstance(texts, Mapping) and len(texts) != expected:
            raise ConfigError(
                f"{name}: the number of texts ({len(texts)}) differs from the baseline's ({expected}); "
                f"give None where there is no output"
            )
