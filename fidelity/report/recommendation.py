"""Which format to ship for each size, in a few sentences: the cheapest that passes, and why the others don't."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fidelity.comparison.results import ComparisonSet
from fidelity.gate import Line, Outcome, Verdict, format_that_ran
from fidelity.price.measures import ratios_of
from fidelity.price.recommend import Minimise, Offer, cheapest
from fidelity.report.content import UNKNOWN_FORMAT

MOST_NAMES = 4
CONFLICTS = {
    **{"number": "numbers", "negation": "negations", "direction": "opposite words", "name": "names"},
    **{"json": "JSON values", "code": "code", "table": "table cells", "any": "conflicts"},
}
"""Kinds of conflict, as a sentence names them."""
TAKEN: Mapping[Minimise, str] = {"bytes": "bytes", "latency": "time", "cost": "cost"}
"""What a format takes less of, as a sentence names it."""


@dataclass(frozen=True, slots=True)
class ShippingAdvice:
    """What to ship."""

    outcome: Outcome
    """pass: a format for every size; fail: none for any, and all fail; else inconclusive."""
    sentence: str
    """What to ship, or that nothing can be."""
    reasons: tuple[str, ...]
    """Why other formats don't pass."""


def recommendation(offers: Sequence[Offer], *, price: Minimise = "bytes") -> ShippingAdvice | None:
    """Recommend a format for each size; None if nothing was judged. `price` is what the offers' prices are of."""
    judged = [offer for offer in offers if offer.verdict]
    if not judged:
        return None
    sizes = list(dict.fromkeys(offer.size for offer in offers))
    best = {size: offer for size in sizes if (offer := cheapest(o for o in offers if o.size == size))}
    without = [size for size in sizes if size not in best]
    sentences = [_ship(best, len(sizes), TAKEN[price])] if best else []
    if without:
        own = [offer for offer in offers if offer.size in without]
        all_fail = all(offer.verdict and offer.verdict.outcome == "fail" for offer in own)
        whom = "" if len(without) == len(sizes) else f" for {_listed(without)}"
        sentences.append(
            f"Ship none{whom}: every format fails."
            if all_fail
            else f"Nothing can be shipped yet{whom}: no format passes."
        )
    fails = {offer.verdict.outcome for offer in judged if offer.verdict} == {"fail"} and len(judged) == len(offers)
    outcome: Outcome = "pass" if best and not without else "fail" if not best and fails else "inconclusive"
    return ShippingAdvice(outcome, " ".join(sentences), (*_failing(offers, sizes), *_open(offers, sizes)))


def offers_of(result: ComparisonSet, verdicts: Mapping[str, Verdict]) -> list[Offer]:
    """The candidates of one baseline, which are judged together."""
    offers = []
    for candidate in result.candidates:
        verdict = verdicts.get(candidate.run.name)
        ratio = ratios_of(result.baseline, candidate.run).get("bytes")
        form = format_that_ran(candidate.run.manifest) or UNKNOWN_FORMAT
        safe = verdict is not None and verdict.outcome == "pass" and verdict.candidates >= len(result.candidates)
        offers.append(Offer(result.baseline.name, form, verdict, safe, ratio.value if ratio else None))
    return offers


def _ship(best: dict[str, Offer], sizes: int, taken: str) -> str:
    """Such as "Ship W8A8-FP8 for both models: it passes and takes 0.61 of the bytes."."""
    by_format: dict[str, list[Offer]] = {}
    for offer in best.values():
        by_format.setdefault(offer.format, []).append(offer)
    parts = [f"{form}{_for([o.size for o in offers], sizes)}" for form, offers in by_format.items()]
    passes = "it passes" if len(by_format) == 1 else "they pass"
    return f"Ship {_joined(parts)}: {passes}{_takes(list(best.values()), taken, one=len(by_format) == 1)}."


def _for(names: Sequence[str], sizes: int) -> str:
    if len(names) < sizes:
        return f" for {_listed(names)}"
    return "" if sizes == 1 else " for both models" if sizes == 2 else f" for all {sizes} models"


def _takes(offers: Sequence[Offer], taken: str, *, one: bool) -> str:
    known = [offer.price for offer in offers if offer.price is not None]
    if len(known) < len(offers):
        what = {"bytes": ("its size is", "their sizes are")}.get(taken, (f"its {taken} is", f"their {taken} is"))
        return f", but {what[0] if one else what[1]} unknown"
    low, high = f"{min(known):.2f}", f"{max(known):.2f}"
    if max(known) >= 0.995:
        return f", but without saving {taken}" if one else f", but not all of them save {taken}"
    return f" and take{'s' if one else ''} {low if low == high else f'{low} to {high}'} of the {taken}"


def _failing(offers: Sequence[Offer], sizes: Sequence[str]) -> list[str]:
    """Such as "W4A16 fails on numbers and negations."; formats that fail alike share a sentence."""
    alike: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for form, own in _by_format(offers, "fail").items():
        reasons = tuple(dict.fromkeys(words for o in own if o.verdict for words in _reasons(o.verdict.lines)))
        whom = "" if len(own) == sum(o.format == form for o in offers) else _for([o.size for o in own], len(sizes))
        alike.setdefault((reasons, whom), []).append(form)
    sentences = []
    for (reasons, whom), forms in alike.items():
        on = f" on {_listed(reasons)}" if reasons else ""
        sentences.append(f"{_listed(forms)}{whom} {'fails' if len(forms) == 1 else 'fail'}{on}.")
    return sentences


def _open(offers: Sequence[Offer], sizes: Sequence[str]) -> list[str]:
    """Formats that are undecided, and the number of prompts that would decide."""
    sentences = []
    for form, own in _by_format(offers, "inconclusive").items():
        verdicts = [offer.verdict for offer in own if offer.verdict]
        undeclared = any(not difference.declared for verdict in verdicts for difference in verdict.differences)
        needed = (
            0 if undeclared else max((line.prompts_needed or 0 for one in verdicts for line in one.lines), default=0)
        )
        whom = "" if len(own) == sum(o.format == form for o in offers) else _for([o.size for o in own], len(sizes))
        why = f"about {float(f'{needed:.2g}'):,.0f} prompts would decide" if needed else verdicts[0].reason.rstrip(".")
        sentences.append(f"{form}{whom} is inconclusive: {why}.")
    return sentences


def _by_format(offers: Sequence[Offer], outcome: Outcome) -> dict[str, list[Offer]]:
    by_format: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.verdict and offer.verdict.outcome == outcome:
            by_format.setdefault(offer.format, []).append(offer)
    return by_format


def _reasons(lines: Sequence[Line]) -> list[str]:
    """What a candidate fails on."""
    return [_in_words(line) for line in lines if line.decides and line.outcome == "fail"]


def _in_words(line: Line) -> str:
    match line.kind:
        case "conflict":
            return CONFLICTS.get(line.name, line.name)
        case "failed":
            return "prompts without an answer"
        case _:
            return line.title


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:MOST_NAMES])
    return _joined([*shown, *([f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else [])])


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
