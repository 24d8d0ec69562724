"""Hard breaks: outputs that are unusable in the candidate and not in the baseline."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric, Need
from fidelity.records import Column, Pair, Side
from fidelity.text.blocks import too_long
from fidelity.text.documents import documents, paired, share_that_parses
from fidelity.text.languages import leaves_language
from fidelity.text.loops import ends_in_loop
from fidelity.text.refusals import refuses

Check = Literal["empty", "length", "loop", "json", "language", "refusal_appeared", "refusal_vanished"]
CHECKS: tuple[Check, ...] = ("empty", "length", "loop", "json", "language", "refusal_appeared", "refusal_vanished")
CHECKS_OF_CORE: tuple[Check, ...] = ("empty", "length", "loop", "refusal_appeared", "refusal_vanished")
"""The checks that need no package of the extra `structure`."""
PACKAGES: dict[Check, tuple[str, ...]] = {
    "loop": ("regex",),
    "json": ("markdown-it-py", "PyYAML"),
    "language": ("markdown-it-py", "py3langid", "regex"),
    "refusal_appeared": ("regex",),
    "refusal_vanished": ("regex",),
}


class Breaks(Metric):
    """One column per check, 1 where the candidate is newly broken, else 0; lower is better, the mean is a share.

    0 also if the check can't apply, because the baseline is broken itself. Identical texts give 0.

    - `break_empty`: the candidate is only white space, the baseline isn't.
    - `break_length`: the candidate was cut off by the token limit, the baseline wasn't. None if an engine gave no
      finish reason.
    - `break_loop`: the candidate ends in a phrase that repeats at least 3 times over at least 50 words, or in endless
      white space or one endless word, see `loops`.
    - `break_json`: a document of the baseline's that parses as JSON or YAML has no counterpart that does (`json`).
    - `break_language`: the candidate is in another language, switches to one or ends in one, or has letters of a script
      that neither baseline nor prompt has (`languages`, `scripts`).
    - `break_refusal_appeared`, `break_refusal_vanished`: only one of the two starts with a refusal, by patterns in
      thirteen languages (`refusals`). For an empty candidate no refusal vanishes.

    `break_json` and `break_language` are None if a text is longer than 500,000 characters.
    """

    kind: Literal["breaks"] = "breaks"
    checks: tuple[Check, ...] = CHECKS
    """The columns. All but `json` and `language` work without the extra `structure`."""

    extra: ClassVar[str] = "structure"
    revision: ClassVar[int] = 3

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(package for check in self.checks for package in PACKAGES.get(check, ())))

    def needs_of(self, column: str) -> frozenset[Need]:
        return frozenset({"finish_reason"} if column == "break_length" else ())

    def fallback(self) -> "Breaks | None":
        core = tuple(check for check in self.checks if check in CHECKS_OF_CORE)
        return self.model_copy(update={"checks": core}) if core and core != self.checks else None

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        if pairs:
            self.require_packages()
        return [self._column(check, [JUDGES[check](pair) for pair in pairs]) for check in self.checks]

    def _column(self, check: Check, broken: Sequence[bool | Side]) -> Column:
        values = [one if isinstance(one, str) else float(one) for one in broken]
        return Column.of(f"break_{check}", values, better="lower")


def _empty(pair: Pair) -> bool:
    return bool(pair.baseline.text.strip()) and not pair.candidate.text.strip()


def _length(pair: Pair) -> bool | Side:
    reasons = pair.baseline.finish_reason, pair.candidate.finish_reason
    if None in reasons:
        return "baseline" if reasons[0] is None else "candidate"
    return reasons[0] != "length" and reasons[1] == "length"


def _loop(pair: Pair) -> bool:
    return _newly(ends_in_loop, pair)


def _json(pair: Pair) -> bool | Side:
    baseline, candidate = documents(pair.baseline.text), documents(pair.candidate.text)
    if baseline is None or candidate is None:
        return "baseline" if baseline is None else "candidate"
    share = share_that_parses(paired(baseline, candidate))
    return share is not None and share < 1.0


def _language(pair: Pair) -> bool | Side:
    texts = pair.baseline.text, pair.candidate.text
    return too_long(*texts) or leaves_language(*texts, prompt=pair.prompt.text)


def _refusal_appeared(pair: Pair) -> bool:
    return _newly(refuses, pair)


def _refusal_vanished(pair: Pair) -> bool:
    return bool(pair.candidate.text.strip()) and refuses(pair.baseline.text) and not refuses(pair.candidate.text)


def _newly(broken: Callable[[str], bool], pair: Pair) -> bool:
    """Whether it is broken in the candidate and not in the baseline, which is only checked if necessary."""
    return broken(pair.candidate.text) and not broken(pair.baseline.text)


JUDGES: dict[Check, Callable[[Pair], bool | Side]] = {
    "empty": _empty,
    "length": _length,
    "loop": _loop,
    "json": _json,
    "language": _language,
    "refusal_appeared": _refusal_appeared,
    "refusal_vanished": _refusal_vanished,
}
