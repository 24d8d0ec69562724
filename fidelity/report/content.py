"""The content that all formats share: the numbers, what was compared, and the notes."""

from collections.abc import Iterator, Mapping, Sequence

from fidelity import gate
from fidelity.comparison.results import ComparisonSet, Scores, among_runs, chance_level, control_values_of
from fidelity.floor import Summary, pooled, summarise
from fidelity.outside.strings import LONGEST_REASON, one_line
from fidelity.report.verdicts import NO_GATE
from fidelity.store.runs import Run

NOT_QUALITY = (
    "Drift is displacement, not quality: a copy that drifts gives a different answer, not necessarily a worse one."
)
MOST_NAMES = 4
"""Columns that a sentence lists."""
UNKNOWN_FORMAT = "format unknown"
HIDDEN = "_coverage"
"""Suffix of the columns that are not in the table. A note names them if they are below 100%."""


def floor_of(result: ComparisonSet) -> dict[str, Summary]:
    """The floor of each column, pooled over the controls; empty without a control."""
    return pooled_columns(result.controls)


def pooled_columns(controls: Sequence[Scores]) -> dict[str, Summary]:
    """The columns that all of a run's controls have, pooled over them."""
    if not controls:
        return {}
    names = [name for name in controls[0].columns if all(name in control.columns for control in controls)]
    return {
        name: pooled([control_values_of(control, name) for control in controls], controls[0].columns[name].column)
        for name in names
    }


def summaries_of(result: ComparisonSet, candidate: Scores) -> dict[str, Summary]:
    """Each column of a candidate, with its mean excess over the floor."""
    return {
        name: summarise(among_runs(result, candidate, name), scored.column)
        for name, scored in candidate.columns.items()
    }


def mean_chance_level(result: ComparisonSet, name: str) -> float | None:
    """The chance level over all candidates: a similarity's mean between answers to different prompts."""
    lows = [chance_level(candidate, name) for candidate in result.candidates if name in candidate.columns]
    known = [low for low in lows if low is not None]
    return sum(known) / len(known) if known else None


def shown_in_table(name: str) -> bool:
    """Whether a column belongs in tables: profiles (`edit_words[decile=3]`) and coverages don't."""
    return "[" not in name and not name.endswith(HIDDEN)


def notes(result: ComparisonSet, verdicts: Mapping[str, gate.Verdict] = NO_GATE) -> list[str]:
    """What has to be known next to the numbers, whatever the format; NOT_QUALITY comes on top of it."""
    texts = warnings(result, verdicts)
    for scores in (*result.controls, *result.candidates):
        if extra := scores.extra_prompts:
            counted = gate.counted_prompts(extra)
            texts.append(f"{scores.run.name}: has answers to {counted} that the baseline lacks; they aren't compared")
        for name, summary in summaries_of(result, scores).items():
            if name.endswith(HIDDEN) and summary.value is not None and summary.value < 1:
                texts.append(f"{scores.run.name}: {name.removesuffix(HIDDEN)} read {summary.value:.1%} of the texts")
    return [*texts, *_divergences(result), *_scored_on_some(result)]


def warnings(result: ComparisonSet, verdicts: Mapping[str, gate.Verdict] = NO_GATE) -> list[str]:
    """What limits the numbers: no floor, failures, answers left out or counted as worst, other causes than the weights.

    Part of `notes`.
    """
    texts = [*_invariance(result)]
    if not result.controls:
        texts.append("No floor: no control was run, so these numbers may only show the baseline's own noise.")
    for scores in (*result.controls, *result.candidates):
        texts += _stopped(scores.run)
        if extra := scores.extra_prompts:
            counted = gate.counted_prompts(extra)
            texts.append(f"{scores.run.name}: has answers to {counted} that the baseline lacks; they aren't compared")
        texts += [f"{scores.run.name}: {note}" for note in scores.run.manifest.engine.notes]
        reasons = list(scores.failures.items())
        texts += [f"{scores.run.name}: prompt {prompt} failed: {why}" for prompt, why in reasons[:3]]
        texts += [f"{scores.run.name}: {len(reasons) - 3} more prompts failed"] if len(reasons) > 3 else []
    texts += _spelling_only(result)
    texts += _unscored(result)
    texts += _counted_as_worst(result)
    texts += differences(result, verdicts)
    texts += [f"The label is wrong: {why}" for why in mislabeled(result)]
    texts += [f"{name}: not compared: {why}" for name, why in result.not_compared.items()]
    return list(dict.fromkeys(texts))


def _invariance(result: ComparisonSet) -> Iterator[str]:
    """Which question a comparison with batch-invariant kernels answers, or that the kernels aren't."""
    if result.baseline.manifest.batch_invariant:
        yield (
            "Batch-invariant kernels: the floor is zero by proof. This is what the format changes; users of other "
            "kernels see batch noise too (batching: continuous, or --both)."
        )
    for run in (result.baseline, *(scores.run for scores in result.candidates)):
        proof = run.manifest.invariance
        if proof and not proof.holds:
            yield (
                f"{run.name}: batch-invariant kernels were asked for, but with other prompts in the engine "
                f"{proof.prompts - proof.same_logprobs} of {proof.prompts} answers are not bit-equal; it counts as "
                f"continuous"
            )


def _divergences(result: ComparisonSet) -> list[str]:
    """How much of each candidate's drift starts at near ties, where rounding decides, and the same for the floor."""
    floor = [words for control in result.controls if (words := _divergence_of(control))]
    floor_words = f" (the floor: {'; '.join(floor)})" if floor else ""
    return [f"{one.run.name}: {words}{floor_words}" for one in result.candidates if (words := _divergence_of(one))]


def _divergence_of(scores: Scores) -> str | None:
    counts = scores.comparison.manifest.divergence
    judged = counts.near_ties + counts.minds_changed if counts else 0
    if not counts or not judged:
        return None
    return (
        f"{counts.diverged} of {counts.answers} answers diverge from the baseline, "
        f"{counts.near_ties} of {judged} at a near tie"
    )


def _spelling_only(result: ComparisonSet) -> list[str]:
    """How many answers look equal but differ in code points, which the diff shows."""
    counts = [(scores.run.name, scores.spelling_only) for scores in (*result.controls, *result.candidates)]
    return [
        f"{name}: {count} answer{'s differ' if count > 1 else ' differs'} only in normalization (Unicode forms, "
        f"apostrophes, hyphens, kinds of space, invisible characters)"
        for name, count in counts
        if count
    ]


def _unscored(result: ComparisonSet) -> list[str]:
    """Whole columns that could not be scored, by reason, with the runs unless it is all of them."""
    everybody = (*result.controls, *result.candidates)
    by_reason: dict[str, dict[str, list[str]]] = {}
    for scores in everybody:
        for column, why in scores.unscored.items():
            by_reason.setdefault(why, {}).setdefault(scores.run.name, []).append(column)
    sentences = []
    for why, columns in by_reason.items():
        names = list(dict.fromkeys(name for of_run in columns.values() for name in of_run))
        whom = "" if len(columns) == len(everybody) else f"{', '.join(columns)}: "
        sentences.append(f"{whom}{_listed(names)} {'is' if len(names) == 1 else 'are'} unscored: {why}")
    return sentences


def _counted_as_worst(result: ComparisonSet) -> list[str]:
    """The number of the candidates' answers that can't be scored although the baseline's can."""
    sentences = []
    for candidate in result.candidates:
        by_number: dict[int, list[str]] = {}
        for name, summary in summaries_of(result, candidate).items():
            if summary.n_worst and shown_in_table(name):
                by_number.setdefault(summary.n_worst, []).append(name)
        for number, names in by_number.items():
            answers = f"{number} of {len(candidate.prompt_ids)} answers"
            sentences.append(
                f"{candidate.run.name}: {answers} could not be scored and count as worst: {_listed(names)}"
            )
    return sentences


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{names[0]} and {len(names) - 1} more columns"


def _scored_on_some(result: ComparisonSet) -> list[str]:
    """How many pairs have values in columns that don't apply to every pair: code, lists, numbers."""
    counts: dict[str, list[Summary]] = {}
    for scores in (*result.controls, *result.candidates):
        for name, summary in summaries_of(result, scores).items():
            if shown_in_table(name):
                counts.setdefault(name, []).append(summary)
    columns = []
    for name, summaries in counts.items():
        fewest, most = (which(summary.n for summary in summaries) for which in (min, max))
        if most and any(summary.n_unscored for summary in summaries):
            columns.append(f"{name} on {fewest}" + (f" to {most}" if most > fewest else ""))
    prompts = result.baseline.manifest.counts.prompts
    return (
        [f"Scored where both texts have something to score: {', '.join(columns)} of {prompts} prompts"]
        if columns
        else []
    )


def _stopped(run: Run) -> list[str]:
    """When generation stopped, for a run with --until-decided."""
    planned, asked = run.manifest.planned, run.manifest.counts.prompts
    if not planned:
        return []
    how = (
        f"stopped after {asked} of {planned} prompts, when the gate could decide" if asked < planned else "not stopped"
    )
    return [f"{run.name}: {how}; its bounds are valid whenever it stops"]


def format_of(run: Run) -> str:
    """The label if there is one, the checkpoint's number format, and the format that ran if it differs."""
    label, real = one_line(run.manifest.label or "", most=LONGEST_REASON), gate.real_format(run.manifest)
    if label and real and real != label and run.manifest.engine.ran_as != label:
        return f"{label} (label), {real}"
    return str(label or real or UNKNOWN_FORMAT)


def size_of(run: Run) -> str:
    """Parameters and bytes of the checkpoint: `135M, 269 MB`; empty without a checkpoint."""
    checkpoint = run.manifest.checkpoint
    sizes = []
    if checkpoint.parameters:
        sizes.append(short(checkpoint.parameters, ("", "K", "M", "B", "T")))
    if checkpoint.bytes:
        sizes.append(short(checkpoint.bytes, (" B", " kB", " MB", " GB", " TB")))
    return ", ".join(sizes)


def describe_run(run: Run) -> str:
    """Format, parameters and size of the checkpoint."""
    return ", ".join(fact for fact in (format_of(run), size_of(run)) if fact)


def asked(baseline: Run) -> str:
    """The number of prompts, and the sampling if it is known."""
    sampling = baseline.manifest.sampling
    how = f", temperature {sampling.temperature:g}, at most {sampling.max_tokens} tokens" if sampling else ""
    how += f", {sampling.repeats} answers each" if sampling and sampling.repeats > 1 else ""
    prompts = baseline.manifest.counts.prompts
    return f"{prompts} prompt{'' if prompts == 1 else 's'}{how}"


def differences_of(
    result: ComparisonSet, scores: Scores, verdicts: Mapping[str, gate.Verdict] = NO_GATE
) -> tuple[gate.Difference, ...]:
    """The differences between a run and the baseline, marked as declared by its verdict, or else by its YAML."""
    if verdict := verdicts.get(scores.run.name):
        return verdict.differences
    declared = scores.compares or ("quantization",)
    return gate.differences(result.baseline.manifest, scores.run.manifest, scores.prompt_tokens, declared=declared)


def differences(result: ComparisonSet, verdicts: Mapping[str, gate.Verdict] = NO_GATE) -> list[str]:
    """The differences between the runs other than weights, one sentence each."""
    return [
        f"{scores.run.name}: {difference_in_words(difference)}"
        for scores in (*result.controls, *result.candidates)
        for difference in differences_of(result, scores, verdicts)
    ]


def difference_in_words(difference: gate.Difference) -> str:
    """A difference, and its consequence for the drift."""
    if difference.declared:
        return f"its {difference.sentence}, as declared"
    return (
        f"its {difference.sentence}, so quantization may not be the only cause of drift (to declare it, set "
        f"compares: {difference.kinds[0]})"
    )


def mislabeled(result: ComparisonSet) -> list[str]:
    """The errors in the runs' labels, one sentence each."""
    runs = (result.baseline, *(scores.run for scores in (*result.controls, *result.candidates)))
    return [why for run in runs if (why := gate.mislabeled(run.manifest))]


def short(number: float, units: tuple[str, ...]) -> str:
    """A number to three digits with its unit: 135M, 269 MB, 1.24 GB."""
    for unit in units[:-1]:
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.1f}{units[-1]}"
