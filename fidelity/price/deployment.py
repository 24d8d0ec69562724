"""The cheapest format for a deployment: a use case, one request at a time or under load, from a price sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fidelity.errors import ConfigError
from fidelity.price.envelope import ByTurn, Stretch, cheapest_along, ratio_over_turns
from fidelity.price.served import SECONDS_PER_HOUR, capacities, limit_of, sync_answers
from fidelity.schema import nearest
from fidelity.stats import Ratio
from fidelity.store.price_sheets import Mode, PriceSheet


@dataclass(frozen=True, slots=True)
class Deployment:
    """How a model will be served."""

    use_case: str
    mode: Mode
    price_per_hour: float | None = None
    """Of the machine; None: costs are only compared."""
    latency_limit: float | None = None
    """Seconds of an answer's 95th percentile, in `async`. None: the default of `served.limit_of`."""


@dataclass(frozen=True, slots=True)
class FormatCost:
    """What a query costs in one format."""

    run: str
    seconds: float
    """Of the machine for a query, the mean over turns: `sync`: an answer; `async`: 1 / requests per second."""
    cost: float | None
    """In the currency of the price per hour."""
    over_baseline: Ratio | None
    """The cost over the baseline's, over turns; None for the baseline."""
    over_cheapest: Ratio | None
    """The cost over that of the cheapest; None for the cheapest."""
    turns: int
    why_not: str = ""
    """Why it can't be recommended; empty if it can."""

    @property
    def as_cheap(self) -> bool:
        """Whether the difference from the cheapest is uncertain: the interval includes 1, or there is none."""
        ratio = self.over_cheapest
        return ratio is not None and (ratio.low is None or ratio.low <= 1)


@dataclass(frozen=True, slots=True)
class DeploymentAdvice:
    """Which format to serve, how sure that is, and where the answer changes."""

    deployment: Deployment
    sheet: PriceSheet
    limit: float
    """Seconds of an answer's 95th percentile, in `async`; may be infinite."""
    judged: bool
    """Whether a gate judged the candidates."""
    costs: tuple[FormatCost, ...]
    """The cheapest that can be recommended first, then by cost, then those that can't be recommended."""
    by_rate: tuple[Stretch, ...]
    """The cheapest by rate of requests, in `async`, over the rates at which all formats were measured."""
    by_prompt: tuple[Stretch, ...]
    """The cheapest by tokens of the prompt, over use cases with as long answers, in `sync`."""

    @property
    def best(self) -> FormatCost:
        """The cheapest of those that can be recommended."""
        return self.costs[0]

    @property
    def random_weights(self) -> bool:
        """Whether a model had random weights, which is honest for price and never for drift."""
        return any(server.random_weights for server in self.sheet.servers.values())


def advise(sheet: PriceSheet, deployment: Deployment, *, why_not: Mapping[str, str] | None = None) -> DeploymentAdvice:
    """Choose the cheapest format.

    Args:
        sheet: What was measured.
        deployment: The use case, the mode and the price.
        why_not: The reason why a gate doesn't pass a candidate, by run's name; None if there is no gate. The baseline
            can always be served.

    Raises:
        ConfigError: The use case was not measured in this mode, or no turn has all formats.
    """
    limit = limit_of(sheet, deployment.use_case, deployment.latency_limit)
    seconds = _seconds(sheet, deployment, limit)
    if not seconds.get(sheet.baseline):
        raise ConfigError(_nothing_measured(sheet, deployment, limit))
    excluded = {run: _why_not(run, sheet, seconds[run], why_not) for run in seconds}
    allowed = [run for run in seconds if not excluded[run]]
    turns = set.intersection(*(set(seconds[run]) for run in allowed))
    if not turns:
        raise ConfigError(f"{deployment.use_case}: no turn has all of {', '.join(allowed)}; measure another one")
    best = min(allowed, key=lambda run: fmean(seconds[run][turn] for turn in turns))
    costs = [_cost(run, best, sheet.baseline, seconds, deployment, excluded[run]) for run in seconds if seconds[run]]
    costs.sort(key=lambda cost: (bool(cost.why_not), cost.run != best, cost.seconds))
    is_sync = deployment.mode == "sync"
    return DeploymentAdvice(
        deployment,
        sheet,
        limit,
        judged=why_not is not None,
        costs=tuple(costs),
        by_rate=() if is_sync else tuple(cheapest_along(_by_rate(sheet, deployment.use_case, allowed))),
        by_prompt=tuple(cheapest_along(_by_prompt(sheet, deployment.use_case, allowed))) if is_sync else (),
    )


def _seconds(sheet: PriceSheet, deployment: Deployment, limit: float) -> dict[str, ByTurn]:
    """The seconds of the machine that a query takes, by run and turn."""
    if deployment.mode == "sync":
        return {run: sync_answers(sheet, run, deployment.use_case) for run in sheet.servers}
    rates = {run: capacities(sheet, run, deployment.use_case, limit=limit) for run in sheet.servers}
    return {run: {turn: 1 / rate for turn, rate in by_turn.items()} for run, by_turn in rates.items()}


def _why_not(run: str, sheet: PriceSheet, by_turn: ByTurn, verdicts: Mapping[str, str] | None) -> str:
    if not by_turn:
        return "not measured, or never within the limit of latency"
    if verdicts is None or run == sheet.baseline:
        return ""
    return verdicts.get(run, "not compared in this store")


def _cost(
    run: str, best: str, baseline: str, seconds: Mapping[str, ByTurn], deployment: Deployment, why_not: str
) -> FormatCost:
    mean, price = fmean(seconds[run].values()), deployment.price_per_hour
    return FormatCost(
        run,
        seconds=mean,
        cost=price / SECONDS_PER_HOUR * mean if price else None,
        over_baseline=None if run == baseline else ratio_over_turns(seconds[run], seconds[baseline]),
        over_cheapest=None if run == best else ratio_over_turns(seconds[run], seconds[best]),
        turns=len(seconds[run]),
        why_not=why_not,
    )


def _nothing_measured(sheet: PriceSheet, deployment: Deployment, limit: float) -> str:
    own = [point for point in sheet.points if point.mode == deployment.mode]
    measured = list(dict.fromkeys(point.use_case for point in own))
    if deployment.use_case in measured:
        if not any((point.run, point.use_case) == (sheet.baseline, deployment.use_case) for point in own):
            return f"{deployment.use_case}: the baseline {sheet.baseline} was not measured in --mode {deployment.mode}"
        return (
            f"{deployment.use_case}: the baseline never answered 95% of the requests within {limit:.3g} s; give "
            "another --latency-limit (inf for none)"
        )
    return (
        f"--scenario {deployment.use_case}: not measured in --mode {deployment.mode}"
        f"{nearest(deployment.use_case, measured) if measured else '; nothing was'}"
    )


def _by_rate(sheet: PriceSheet, use_case: str, runs: Sequence[str]) -> dict[str, dict[float, ByTurn]]:
    """The seconds of the machine for a query, by run, rate that was sent (infinite: all at once) and turn."""
    lines: dict[str, dict[float, dict[int, float]]] = {run: {} for run in runs}
    for point in sheet.points:
        if point.run in lines and (point.use_case, point.mode) == (use_case, "async"):
            at = lines[point.run].setdefault(point.rate or float("inf"), {})
            at[point.turn] = 1 / point.requests_per_s
    return {run: dict(line) for run, line in lines.items()}


def _by_prompt(sheet: PriceSheet, use_case: str, runs: Sequence[str]) -> dict[str, dict[float, ByTurn]]:
    """The seconds of an answer, by run, tokens of the prompt and turn, in use cases with as long answers."""
    length = sheet.use_cases[use_case][1]
    alike = {name: prompt for name, (prompt, answer) in sheet.use_cases.items() if answer == length}
    return {run: {float(prompt): sync_answers(sheet, run, name) for name, prompt in alike.items()} for run in runs}
