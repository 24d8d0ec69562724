"""Which format to serve for a deployment, in sentences: the terminal and the dashboard have the same."""

import math
from collections.abc import Sequence

from fidelity.price.deployment import DeploymentAdvice, FormatCost
from fidelity.price.envelope import Stretch
from fidelity.report.price_sheet import RANDOM_WEIGHTS, interval
from fidelity.store.price_sheets import PriceSheet

NO_GATE_JUDGED = "No gate judged these formats; this is the price alone."


def sentences(advice: DeploymentAdvice) -> list[str]:
    """The answer, how sure it is, where it changes, and what limits it."""
    lines = [_answer(advice), *_changes(advice), *_other_hardware(advice.sheet)]
    if not advice.judged:
        lines.append(NO_GATE_JUDGED)
    elif advice.best.run == advice.sheet.baseline and len(advice.sheet.servers) > 1:
        lines.append("No candidate that is cheaper passes the gate.")
    return [*lines, *([RANDOM_WEIGHTS] if advice.random_weights else [])]


def cost_lines(advice: DeploymentAdvice) -> list[str]:
    """A line for each format: its cost over the baseline's, and why it can't be recommended."""
    return [_line(*cells) for cells in cost_cells(advice)]


def cost_cells(advice: DeploymentAdvice) -> list[tuple[str, str, str, str, str]]:
    """For each format its name, seconds or requests/s, cost over the baseline's, queries for 1, and why not."""
    return [_cells(advice, cost) for cost in advice.costs]


def name_of(sheet: PriceSheet, run: str) -> str:
    """A run's format, or its name if several have the format."""
    servers = sheet.servers
    form = servers[run].format
    return form if sum(server.format == form for server in servers.values()) == 1 else run


def where(advice: DeploymentAdvice) -> str:
    """The deployment in words: the use case, its lengths, the load and the device."""
    name = advice.deployment.use_case
    prompt, answer = advice.sheet.use_cases[name]
    load = "one request at a time"
    if advice.deployment.mode == "async":
        load = (
            "many requests at once" if math.isinf(advice.limit) else f"95% of the answers within {advice.limit:.3g} s"
        )
    baseline = advice.sheet.servers[advice.sheet.baseline]
    return f"{name} ({prompt}/{answer} tokens), {load}" + (f", on {baseline.hardware}" if baseline.device else "")


def _other_hardware(sheet: PriceSheet) -> list[str]:
    """Which servers ran on other hardware than the baseline's, at the one price per hour that is given."""
    own = sheet.servers[sheet.baseline].hardware
    others = [f"{name_of(sheet, run)} on {s.hardware}" for run, s in sheet.servers.items() if s.hardware != own]
    return [f"Not on the same hardware: {', '.join(others)}, at the same price per hour."] if others else []


def _answer(advice: DeploymentAdvice) -> str:
    best, rest = advice.best, [cost for cost in advice.costs[1:] if not cost.why_not]
    name, baseline = name_of(advice.sheet, best.run), name_of(advice.sheet, advice.sheet.baseline)
    alike = [cost for cost in rest if cost.as_cheap]
    against = f"{interval(best.over_baseline)} of {baseline}'s cost per query" if best.over_baseline else "the baseline"
    queries = f", {1 / best.cost:,.0f} queries for 1" if best.cost else ""
    if not rest:
        return f"In {where(advice)}, only {name} can be recommended ({against}{queries})."
    if _fewest_turns(advice) == 1:
        them = _joined([f"{name_of(advice.sheet, one.run)} ({_over(one)})" for one in rest])
        return (
            f"In {where(advice)}, {name} is measured as the cheapest ({against}{queries}) before {them}, in a single "
            "turn, which doesn't show how certain that is."
        )
    if alike:
        them = _joined([f"{name_of(advice.sheet, one.run)} ({_over(one)})" for one in alike])
        return (
            f"In {where(advice)}, {name} is measured as the cheapest ({against}{queries}), but not certainly before "
            f"{them}, {_turns(advice)}: the interval includes 1."
        )
    follows = f"{name_of(advice.sheet, rest[0].run)} ({_over(rest[0])})"
    return f"In {where(advice)}, {name} is the cheapest: {against}{queries}. The next is {follows}, {_turns(advice)}."


def _over(cost: FormatCost) -> str:
    return f"{interval(cost.over_cheapest)} as much" if cost.over_cheapest else "not in the same turns"


def _turns(advice: DeploymentAdvice) -> str:
    return f"over {_fewest_turns(advice)} turns"


def _fewest_turns(advice: DeploymentAdvice) -> int:
    return min(cost.turns for cost in advice.costs if not cost.why_not)


def _changes(advice: DeploymentAdvice) -> list[str]:
    """Where another format is the cheapest; nothing with fewer than two measured places."""
    if len(advice.by_rate) and (advice.by_rate[0].start < advice.by_rate[-1].end):
        return [_along(advice, advice.by_rate, "rate", "requests/s")]
    if len(advice.by_prompt) and (advice.by_prompt[0].start < advice.by_prompt[-1].end):
        return [_along(advice, advice.by_prompt, "length of the prompt", "tokens")]
    return []


def _along(advice: DeploymentAdvice, stretches: Sequence[Stretch], what: str, unit: str) -> str:
    """Such as "By rate: W8A8-FP8 from 4.1 to 23.3 requests/s, W8A8-INT8 from there to 33 and all at once"."""
    pieces = [
        f"{name_of(advice.sheet, one.run)} {_range(one, unit, first=number == 0)}"
        for number, one in enumerate(stretches)
    ]
    if len(stretches) == 1:
        return f"By {what}, the answer does not change where it was measured: {pieces[0]}."
    unsure = [one for one in stretches if not one.sure]
    doubt = (
        ""
        if not unsure
        else (
            " None of these changes is certain"
            if len(unsure) == len(stretches) - 1
            else " Not all of these changes are certain"
        )
    )
    doubt = f".{doubt}: the difference is within the noise of the turns" if doubt else ""
    return f"By {what}, the cheapest is {'; '.join(pieces)}{doubt}."


def _range(stretch: Stretch, unit: str, *, first: bool) -> str:
    if math.isinf(stretch.start):
        return "with all requests at once"
    if stretch.start == stretch.end:
        return f"at {_place(stretch.start)} {unit}"
    start = f"from {_place(stretch.start)} {unit if first else ''}".rstrip()
    return f"{start} on, and with all at once" if math.isinf(stretch.end) else f"{start} to {_place(stretch.end)}"


def _place(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cells(advice: DeploymentAdvice, cost: FormatCost) -> tuple[str, str, str, str, str]:
    value = f"{cost.seconds:.3g} s" if advice.deployment.mode == "sync" else f"{1 / cost.seconds:.3g} requests/s"
    ratio = interval(cost.over_baseline) if cost.over_baseline else ""
    queries = f"{1 / cost.cost:,.0f}" if cost.cost else ""
    return name_of(advice.sheet, cost.run), value, ratio, queries, cost.why_not


def _line(name: str, value: str, ratio: str, queries: str, why_not: str) -> str:
    facts = [value, *([f"cost {ratio}"] if ratio else []), *([f"{queries} queries for 1"] if queries else [])]
    return f"  {name} ({', '.join(facts)})" + (f": {why_not}" if why_not else "")


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
