"""Conflicts: statements of baseline and candidate that can't both be true, which mean similarities don't show."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.blocks import too_long
from fidelity.text.conflicts import KINDS, TextComparison, compare_texts
from fidelity.text.frames import ConflictKind

MAX_CHARACTERS = 125_000
"""Longer texts, about 30,000 tokens of English, are unscored: the values of one of 500,000 take 8 GB to align."""


class Conflicts(Metric):
    """Whether the candidate contradicts the baseline in something that can be checked, by kind.

    Sentences, list items, table rows, statements of code and JSON values of both texts are aligned; only what is
    aligned is compared. 0 or 1 per prompt and kind, lower is better, so the mean is a share of prompts:

    - `conflict_number`: a number, date, time, sign, relation or unit differs, or numbers changed places.
    - `conflict_negation`: only one side has a negation (`not`, `n't`, `never`, `without`, ...).
    - `conflict_direction`: a word's antonym is in its place (`increase`, `decrease`).
    - `conflict_name`: another name, identifier, path or URL, or names that changed places.
    - `conflict_json`: another value at the same path of JSON or YAML.
    - `conflict_code`: after harmless renaming, another literal, operator, keyword, name or argument.
    - `conflict_table`: a cell changed or moved.
    - `conflict_any`: one of them.

    `aligned` is the share of the baseline's units that have a counterpart, `omitted` the others, `added` the share of
    the candidate's units that have none. Identical texts have no conflict in any language.

    Unscored where less than `min_aligned` is aligned: the texts have left each other, and nothing can be compared. That
    is the candidate's doing where it is empty or in another language; else the pair is out for everybody. Negation and
    direction are unscored in languages without a word list (see docs/metrics.md), and `conflict_any` with them unless
    another kind is 1. Texts of more than 125,000 characters are unscored.
    """

    kind: Literal["conflicts"] = "conflicts"
    min_aligned: float = 0.2
    """Pairs with a smaller aligned share of the baseline's units are unscored."""
    antonyms: tuple[tuple[str, str], ...] = ()
    """Antonyms to add to the list of the texts' language: `[[bullish, bearish]]`."""

    packages: ClassVar[tuple[str, ...]] = (
        "rapidfuzz",
        "regex",
        "py3langid",
        "babel",
        "nltk",
        "markdown-it-py",
        "pygments",
        "spylls",
        "sqlglot",
        "text2num",
    )
    revision: ClassVar[int] = 5

    @property
    def cost(self) -> Literal["cheap", "moderate", "encoder"]:
        return "moderate"

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        compared = [self.compare(pair) for pair in pairs]
        columns = [
            Column.of(f"conflict_{kind}", [self._value(c, kind) for c in compared], better="lower") for kind in ORDER
        ]
        shares = {
            "aligned": [c if isinstance(c, str) else c.aligned for c in compared],
            "omitted": [c if isinstance(c, str) else 1 - c.aligned for c in compared],
            "added": [c if isinstance(c, str) else c.added for c in compared],
        }
        better: dict[str, Literal["higher", "lower"]] = {"aligned": "higher", "omitted": "lower", "added": "lower"}
        return [*columns, *(Column.of(name, values, better=better[name]) for name, values in shares.items())]

    def compare(self, pair: Pair) -> TextComparison | Side:
        """The conflicts of a pair with their positions, or the side with a too long text."""
        texts = pair.baseline.text, pair.candidate.text
        return too_long(*texts, most=MAX_CHARACTERS) or compare_texts(*texts, antonyms=self.antonyms)

    def _value(self, compared: TextComparison | Side, kind: ConflictKind | Literal["any"]) -> float | Side:
        if isinstance(compared, str):
            return compared
        if compared.aligned < self.min_aligned:
            return compared.left_by
        kinds = {conflict.kind for conflict in compared.conflicts}
        if kind == "any" and kinds:
            return 1.0
        uncovered = [compared.uncovered(k) for k in (KINDS if kind == "any" else (kind,))]
        return next((side for side in SIDES if side in uncovered), float(kind in kinds))


SIDES: tuple[Side, ...] = ("baseline", "candidate")
ORDER: tuple[ConflictKind | Literal["any"], ...] = (
    *("number", "negation", "direction", "name", "json", "code", "table", "any"),
)
"""Of the columns."""
