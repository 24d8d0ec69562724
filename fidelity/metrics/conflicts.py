"""Conflicts: whether baseline and candidate state what can't both be true. Averages of similarities are blind to it."""

from collections.abc import Sequence
from typing import Literal

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair
from fidelity.text.conflicts import KINDS, TextComparison, compare_texts

MAX_CHARACTERS = 500_000
PACKAGES = ("rapidfuzz", "regex", "babel", "nltk", "markdown-it-py", "pygments", "sqlglot")


class Conflicts(Metric):
    """Whether the candidate contradicts the baseline in something that can be checked, by kind.

    Sentences, list items, table rows, statements of code and JSON values of both texts are aligned; only what is
    aligned is compared. 0 or 1 per prompt and kind, lower is better, so that the mean is a share of prompts:

    - `conflict_number`: a number, date, time, sign, relation or unit differs, or numbers changed places.
    - `conflict_negation`: only one side denies (`not`, `n't`, `never`, `without`, ...).
    - `conflict_direction`: a word's antonym is in its place (`increase`, `decrease`).
    - `conflict_name`: another name, identifier, path or URL, or names that changed places.
    - `conflict_json`: another value at the same path of JSON or YAML.
    - `conflict_code`: after harmless renaming, another literal, operator, keyword, name or argument.
    - `conflict_table`: a cell changed or moved.
    - `conflict_any`: one of them.

    `aligned` is the share of the baseline's units that have a counterpart, `omitted` the others, `added` the share of
    the candidate's units that have none. Identical texts have no conflict in any language.

    None where less than `min_aligned` is aligned: the texts have left each other, and nothing can be compared. Negation
    and direction are None in languages without a word list (see docs/metrics.md), and `conflict_any` with them unless
    another kind is 1. Texts of more than 500,000 characters are unscored.
    """

    kind: Literal["conflicts"] = "conflicts"
    min_aligned: float = 0.2
    """Share of the baseline's units below which a pair is unscored."""
    antonyms: tuple[tuple[str, str], ...] = ()
    """Pairs of words to add to the list of the texts' language: `[[bullish, bearish]]`."""

    @property
    def packages(self) -> tuple[str, ...]:
        return PACKAGES

    @property
    def cost(self) -> Literal["cheap", "moderate", "encoder"]:
        return "moderate"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        compared = [self.compare(pair) for pair in pairs]
        columns = [
            Column(f"conflict_{kind}", tuple(self._value(c, kind) for c in compared), better="lower")
            for kind in (*sorted(KINDS, key=ORDER.index), "any")
        ]
        shares = {
            "aligned": tuple(None if c is None else c.aligned for c in compared),
            "omitted": tuple(None if c is None else 1 - c.aligned for c in compared),
            "added": tuple(None if c is None else c.added for c in compared),
        }
        better: dict[str, Literal["higher", "lower"]] = {"aligned": "higher", "omitted": "lower", "added": "lower"}
        return [*columns, *(Column(name, values, better=better[name]) for name, values in shares.items())]

    def compare(self, pair: Pair) -> TextComparison | None:
        """What the columns are counted from, with the place of each conflict; None for texts that are too long."""
        texts = pair.baseline.text, pair.candidate.text
        return None if max(map(len, texts)) > MAX_CHARACTERS else compare_texts(*texts, antonyms=self.antonyms)

    def _value(self, compared: TextComparison | None, kind: str) -> float | None:
        if compared is None or compared.aligned < self.min_aligned:
            return None
        kinds = {conflict.kind for conflict in compared.conflicts}
        if kind == "any":
            covered = all(compared.covers(k) for k in KINDS)
            return 1.0 if kinds else 0.0 if covered else None
        return next((float(k in kinds) if compared.covers(k) else None for k in KINDS if k == kind), None)


ORDER = ("number", "negation", "direction", "name", "json", "code", "table")
"""Of the columns."""
