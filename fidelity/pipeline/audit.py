"""An audit: does an endpoint give the answers of the model that it claims to serve?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fidelity.config import RunConfig
from fidelity.config.run import Sampling
from fidelity.errors import ConfigError
from fidelity.metrics.edit import Edit
from fidelity.pipeline.generation import generate
from fidelity.records import Generation, Pair, Prompt
from fidelity.runs.jobs import prompts_of
from fidelity.runs.listener import Listener
from fidelity.stats import holm
from fidelity.stats.equality import EqualityTest, Kernel, equality_test, hamming_kernel
from fidelity.store.runs import Run
from fidelity.store.store import Store

REPEATS = 4
"""Answers per prompt and source, if the reference's YAML doesn't set `repeats`."""
MAX_TOKENS = 50
POWER = 0.8
"""Less power against a suspect than this leaves a test without rejection undecided."""
AuditOutcome = Literal["differs", "not distinguishable", "undecided"]


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """An endpoint, the model that it claims to serve, and the models that it may serve instead."""

    provider: RunConfig
    reference: RunConfig
    suspects: tuple[RunConfig, ...] = ()
    limit: int | None = None
    level: float = 0.05
    permutations: int = 1000
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        """The reference's sampling; without one, 4 answers per prompt of up to 50 tokens at temperature 1.

        Raises:
            ConfigError: It is greedy or has one answer per prompt, so there is no distribution to test.
        """
        given = self.reference.sampling or Sampling(temperature=1.0, repeats=REPEATS, max_tokens=MAX_TOKENS)
        if given.repeats < 2:
            raise ConfigError(
                f"{self.reference.file_or_name}: an audit tests distributions; set sampling: "
                f"{{temperature: 1.0, repeats: {REPEATS}, max_tokens: {MAX_TOKENS}}}"
            )
        return given

    @property
    def sources(self) -> tuple[RunConfig, ...]:
        """The reference, the reference again, the provider and the suspects, each with its own seeds.

        Equal seeds would make equal models give equal answers, and the test needs independent ones.

        Raises:
            ConfigError: A source is a file or a stored run, and so gives no new answers; or two have the same name.
        """
        names = [config.name for config in (self.reference, self.provider, *self.suspects)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"the name {twice!r} is used in two of the files; give each its own 'name'")
        for config in (self.reference, self.provider, *self.suspects):
            if config.engine.kind in ("recorded", "stored"):
                raise ConfigError(
                    f"{config.file_or_name}: engine.kind: {config.engine.kind}: an audit draws new answers; name an "
                    "engine or a server"
                )
        again = self.reference.model_copy(update={"name": f"{self.reference.name}.again"})
        configs = (self.reference, again, self.provider, *self.suspects)
        shared = {"prompts": self.reference.prompts, "control": "none", "kl": "none"}
        return tuple(
            config.model_copy(
                update={**shared, "sampling": self.sampling.model_copy(update={"seed": self.sampling.seed + place})}
            )
            for place, config in enumerate(configs)
        )

    @property
    def requests(self) -> int:
        """Requests to each source."""
        return len(prompts_of(self.reference, self.limit)) * self.sampling.repeats


@dataclass(frozen=True, kw_only=True)
class TwoSampleTests:
    """Both tests of two sources, and the p-values adjusted for being two (Holm)."""

    name: str
    hamming: EqualityTest
    energy: EqualityTest
    """With the similarity `edit_words` as the kernel: the energy statistic of that column."""
    prompts: int
    dropped: int
    """Prompts with fewer than two answers of one of the sources."""

    @property
    def p_value(self) -> float:
        """The smaller adjusted p-value."""
        return min(holm([self.hamming.p_value, self.energy.p_value]))

    def power(self, *, level: float, rng: np.random.Generator) -> float:
        """The estimated share of audits of this size whose test with the Hamming kernel alone rejects."""
        return self.hamming.power(level=level / 2, rng=rng)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found."""

    outcome: AuditOutcome
    reason: str
    provider: TwoSampleTests
    floor: TwoSampleTests
    """The reference against itself."""
    suspects: Mapping[str, tuple[TwoSampleTests, float]]
    """Each suspect against the reference, and the power to see that difference."""
    resembles: Mapping[str, float]
    """The provider's MMD^2 to the reference and to each suspect; the smallest is the most similar."""


def audit(request: AuditRequest, *, store: Store, listener: Listener) -> Audit:
    """Generate what is missing and test the provider against the reference.

    Raises:
        FidelityError: A source can't be generated, or too few of its answers can be tested.
    """
    runs = [generate(config, store=store, listener=listener, limit=request.limit)[0] for config in request.sources]
    return judged(runs[0], runs[1], runs[2], runs[3:], request)


def judged(reference: Run, again: Run, provider: Run, suspects: Sequence[Run], request: AuditRequest) -> Audit:
    """The tests of finished runs."""
    rng = np.random.default_rng(request.seed)
    base = answers(reference)
    prompts = {prompt.id: prompt for prompt in reference.prompts()}

    def against(first: AnswersOfPrompts, run: Run, name: str) -> TwoSampleTests:
        return difference(first, answers(run), prompts, name=name, permutations=request.permutations, rng=rng)

    tested, floor = against(base, provider, provider.name), against(base, again, again.name)
    seen = {run.name: against(base, run, run.name) for run in suspects}
    powers = {name: (one, one.power(level=request.level, rng=rng)) for name, one in seen.items()}
    near = {run.name: against(answers(provider), run, run.name).hamming.statistic for run in suspects}
    outcome, reason = _outcome(tested, floor, {name: power for name, (_, power) in powers.items()}, request.level)
    return Audit(
        outcome=outcome,
        reason=reason,
        provider=tested,
        floor=floor,
        suspects=powers,
        resembles={reference.name: tested.hamming.statistic, **near},
    )


AnswersOfPrompts = dict[str, list[Generation]]


def answers(run: Run) -> AnswersOfPrompts:
    """The generations of a run by prompt."""
    by_prompt: AnswersOfPrompts = defaultdict(list)
    for outcome in run.outcomes():
        if isinstance(outcome, Generation):
            by_prompt[outcome.prompt_id].append(outcome)
    return by_prompt


def difference(
    first: AnswersOfPrompts,
    second: AnswersOfPrompts,
    prompts: Mapping[str, Prompt],
    *,
    name: str,
    permutations: int,
    rng: np.random.Generator,
) -> TwoSampleTests:
    """Test two sources on the prompts of which both have at least two answers.

    Raises:
        ConfigError: There is no such prompt.
    """
    usable = [one for one in prompts if min(len(first.get(one, ())), len(second.get(one, ()))) >= 2]
    if not usable:
        raise ConfigError(f"{name}: no prompt has two answers of both sources; see the run's failures")
    sides = [(prompts[one], first[one], second[one]) for one in usable]
    hamming = [hamming_kernel([g.text for g in a], [g.text for g in b]) for _, a, b in sides]
    return TwoSampleTests(
        name=name,
        hamming=equality_test(hamming, permutations=permutations, rng=rng),
        energy=equality_test([edit_kernel(*side) for side in sides], permutations=permutations, rng=rng),
        prompts=len(usable),
        dropped=len(prompts) - len(usable),
    )


def edit_kernel(prompt: Prompt, first: Sequence[Generation], second: Sequence[Generation]) -> Kernel:
    """`edit_words` between all answers; a pair that can't be scored counts as 0."""
    both = [*first, *second]
    rows, columns = np.triu_indices(len(both), k=1)
    pairs = [Pair(prompt, both[row], both[column]) for row, column in zip(rows, columns, strict=True)]
    column = next(one for one in Edit().score(pairs) if one.name == "edit_words")
    values = np.eye(len(both))
    values[rows, columns] = values[columns, rows] = [value or 0.0 for value in column.values]
    return Kernel(values, len(first))


def _outcome(
    provider: TwoSampleTests, floor: TwoSampleTests, powers: Mapping[str, float], level: float
) -> tuple[AuditOutcome, str]:
    if floor.p_value <= level:
        return "undecided", "the reference differs from itself, so its answers aren't independent draws of one model"
    if provider.dropped:
        return "undecided", f"{provider.dropped} prompts have fewer than two answers of both sources"
    if provider.p_value <= level:
        return "differs", (
            "the answers have another distribution than the reference's; that doesn't show why (weights, template, "
            "system prompt and sampling can all be the cause)"
        )
    if not powers:
        return "undecided", (
            "no difference was seen, but without --suspects nothing shows that this budget would have seen one"
        )
    weak = [f"{name} ({power:.0%})" for name, power in powers.items() if power < POWER]
    if weak:
        return "undecided", f"no difference was seen, but the power is below {POWER:.0%} against {', '.join(weak)}"
    return "not distinguishable", (
        "no difference was seen that is as large as the suspects'; that doesn't prove that the weights are the same"
    )
