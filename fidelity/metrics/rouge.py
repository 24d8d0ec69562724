"""ROUGE: the overlap of words, word pairs and word order."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import cache, lru_cache
from itertools import chain, pairwise
from typing import Literal, NamedTuple, TypeVar

from rapidfuzz.distance import LCSseq

from fidelity.metrics.base import Metric
from fidelity.records import Column, Pair, Side
from fidelity.text.alignment_limits import most_differences
from fidelity.text.union_lcs import union_lcs
from fidelity.text.words import plain_words, words

T = TypeVar("T", bound=Hashable)
RougeStatistic = Literal["f1", "precision", "recall"]


class Rouge(Metric):
    """ROUGE-1, -2, -L and -Lsum (Lin 2004): shared words, word pairs, and longest common subsequence of words.

    In [0, 1]. `rougeL` is over the whole text, `rougeLsum` line by line: each baseline line against all lines of the
    candidate, so lines in another order cost nothing. The columns are F1, symmetric but for `rougeLsum` (which of
    several longest subsequences is taken depends on the side); with `parts: all` each also comes as `rouge1_precision`
    (share of the candidate's words) and `rouge1_recall` (share of the baseline's; the baseline is ROUGE's target). Two
    texts of the same words give exactly 1, in any language; two without any word give 1, one without gives 0. Texts too
    short for a word pair have `rouge2` 1 if their words are the same, else 0. Spelling is normalized (see `normalize`);
    in a text without letters and digits each symbol is a word. `rougeL` and `rougeLsum` are unscored for texts of more
    than 100,000 words of which most differ (see `alignment_limits`).

    Compare it with the floor and the chance level: two unrelated long texts share most common words.
    """

    kind: Literal["rouge"] = "rouge"
    tokenizer: Literal["unicode", "rouge_score"] = "unicode"
    """`unicode` counts the words of any script, in English the same as the package rouge-score 0.1.2 (see `plain_words`
    for the two exceptions). `rouge_score` gives exactly that package's numbers: it reads a-z and 0-9 only, so identical
    Chinese texts give 0, and "-3" is "3"."""
    stem: bool = False
    """Whether to stem English words of more than three letters first (nltk's PorterStemmer)."""
    lsum: bool = True
    """Whether to compute `rougeLsum`, by far the slowest of the four on texts with many lines."""
    parts: Literal["f1", "all"] = "f1"
    """`all` adds the columns of precision and recall."""

    @property
    def revision(self) -> int:
        return 2 if self.tokenizer == "unicode" else 1

    @property
    def packages(self) -> tuple[str, ...]:
        return ("rapidfuzz", *(["regex"] if self.tokenizer == "unicode" else []), *(["nltk"] if self.stem else []))

    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        read = _reader(_tokenizers(self.tokenizer, stem=self.stem), by_line=self.lsum)
        # Sorted by baseline, so each baseline is read once for all of its candidates.
        order = sorted(range(len(pairs)), key=lambda i: pairs[i].baseline.text)
        scored = {i: self._compare(read(pairs[i].baseline.text), read(pairs[i].candidate.text)) for i in order}
        names = [name for name in Overlaps._fields if self.lsum or name != "rougeLsum"]
        statistics: tuple[RougeStatistic, ...] = ("f1",) if self.parts == "f1" else ("f1", "precision", "recall")
        return [
            Column.of(
                name if statistic == "f1" else f"{name}_{statistic}",
                [getattr(scored[i], name).value(statistic) for i in range(len(pairs))],
            )
            for name in names
            for statistic in statistics
        ]

    def _compare(self, baseline: "CountedTokens", candidate: "CountedTokens") -> "Overlaps":
        a, b = baseline.ids, candidate.ids
        longest = _longest(a, b)
        one_line = len(baseline.lines) == len(candidate.lines) == 1
        union = longest if one_line or longest is None or not self.lsum else union_lcs(baseline.lines, candidate.lines)
        overlaps = Overlaps(
            rouge1=Overlap(_shared(baseline.words, candidate.words), len(a), len(b)),
            rouge2=Overlap(_shared(baseline.bigrams, candidate.bigrams), max(len(a) - 1, 0), max(len(b) - 1, 0)),
            rougeL=Overlap(longest, len(a), len(b)),
            rougeLsum=Overlap(union, len(a), len(b)),
        )
        if self.tokenizer == "rouge_score":
            return overlaps
        # Otherwise identical texts of one word would have a ROUGE-2 of 0, and two empty texts 0 in all columns.
        nothing_to_count = Overlap(int(a == b), 1, 1)
        return Overlaps(*(o if o.baseline or o.candidate else nothing_to_count for o in overlaps))


class Overlap(NamedTuple):
    """The number of shared units, and of each side's units."""

    shared: int | None
    """None where the two are long and differ more than is searched for."""
    baseline: int
    candidate: int

    def value(self, statistic: RougeStatistic) -> float | Side:
        """The share of one side, or F1 (their harmonic mean); 0 without shared units."""
        if self.shared is None:
            return "candidate"
        match statistic:
            case "f1":
                return 2 * self.shared / max(self.baseline + self.candidate, 1)
            case "precision":
                return self.shared / max(self.candidate, 1)
            case "recall":
                return self.shared / max(self.baseline, 1)


class Overlaps(NamedTuple):
    rouge1: Overlap
    rouge2: Overlap
    rougeL: Overlap
    rougeLsum: Overlap


class CountedTokens(NamedTuple):
    """A text as numbers, one per distinct word, with its n-gram counts."""

    lines: list[list[int]]
    """The lines with words, which are ROUGE-Lsum's sentences."""
    ids: list[int]
    words: Counter[int]
    bigrams: Counter[tuple[int, int]]


Tokenizer = Callable[[str], list[str]]


def _reader(tokenizers: Sequence[Tokenizer], *, by_line: bool) -> Callable[[str], CountedTokens]:
    """Reads and caches texts, since candidates share a baseline and many equal it.

    The first tokenizer that finds a word in a text is used for the whole text.
    """
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__  # the next number for a new word

    @lru_cache(maxsize=16)  # a text of 32,000 words takes about 8 MB
    def read(text: str) -> CountedTokens:
        # Words don't span lines, so the words of all lines are the words of the text.
        lines = text.split("\n") if by_line else [text]
        for tokenize in tokenizers:
            numbered = [list(map(vocabulary.__getitem__, tokenize(line))) for line in lines if line]
            if ids := list(chain.from_iterable(numbered)):
                break
        return CountedTokens(list(filter(None, numbered)), ids, Counter(ids), Counter(pairwise(ids)))

    return read


def _longest(a: list[int], b: list[int]) -> int | None:
    """The length of the longest common subsequence; None where two long ones differ more than is searched for."""
    most = most_differences(a, b)
    if most is None:
        return LCSseq.similarity(a, b)
    least = max(len(a), len(b)) - most
    return LCSseq.similarity(a, b, score_cutoff=least) or None if least > 0 else None


def _shared(a: Counter[T], b: Counter[T]) -> int:
    """The size of the multiset intersection."""
    common = a.keys() & b.keys()
    return sum(map(min, map(a.__getitem__, common), map(b.__getitem__, common)))


def _tokenizers(name: Literal["unicode", "rouge_score"], *, stem: bool) -> list[Tokenizer]:
    tokenizers: list[Tokenizer] = [plain_words, words] if name == "unicode" else [_ascii_words]
    if not stem:
        return tokenizers
    from nltk.stem.porter import PorterStemmer

    stem_word = cache(PorterStemmer().stem)

    def stemmed(tokenize: Tokenizer) -> Tokenizer:
        return lambda text: [stem_word(t) if len(t) > 3 and t.isascii() else t for t in tokenize(text)]

    return list(map(stemmed, tokenizers))


# Everything but a-z and 0-9 is a separator, including "?", which replaces non-ASCII characters.
_SEPARATED = bytes(byte if chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789" else ord(" ") for byte in range(256))


def _ascii_words(text: str) -> list[str]:
    return text.lower().encode("ascii", "replace").translate(_SEPARATED).decode("ascii").split()
