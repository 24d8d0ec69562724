"""What every metric must obey, whatever it measures. Each test file of a metric calls these with its own parameters."""

from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import strategies as st

from fidelity.metrics.base import Metric
from fidelity.records import Column, Generation, Pair, Prompt

HARD_TEXTS = {
    "empty": "",
    "white space": " \n\t ",
    "one word": "Paris",
    "punctuation": "...!?",
    "minus three": "-3",
    "German": "Straßenbahnfahrer mögen süße Äpfel; Größe und Maß.",
    "Chinese": "人工智能正在改变世界。它很快，也很便宜！",
    "Japanese": "東京タワーは高さ333メートルです。",
    "Korean": "서울은 대한민국의 수도이다.",
    "Hindi": "क्षत्रिय नमस्ते दुनिया, हिन्दी में लिखा हुआ।",
    "Thai": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    "Khmer": "ភ្នំពេញជារាជធានីនៃប្រទេសកម្ពុជា",
    "Arabic": "مرحبا بالعالم، الرقم ٣٫١٤ هو تقريبا باي.",
    "emoji": "👩‍👩‍👧 👍🏽 🇩🇪🇫🇷 1️⃣ ❤️",
    "combining marks": "e\u0301 a\u0323\u0302 \u0301\u0301",
    "code": "def f(x: int) -> int:\n    return x**2 - 3.14 if x != -1 else 1_000\n",
    "NUL": "a\x00b \x00",
    "lone surrogates": "\ud800 x\udfff",
    "invisible": "\u200b\u200e\ufeff\u00ad",
    "one long word": "x" * 100_000,
    "100,000 characters": ("The quick brown fox, 3 of 10. " * 3_334)[:100_000],
    "100,000 marks": "a" + "\u0301\u0323" * 50_000,
    "50,000 flags' halves": "\U0001f1e9" * 50_000,
}

texts = st.one_of(
    st.text(st.characters(), max_size=40),  # all of Unicode, lone surrogates included
    st.lists(
        st.sampled_from(["the", "cat", "sat", "-3", "3", "1,000", "\n", ".", "猫", "नमस्ते", "👍🏽"]), max_size=25
    ).map(" ".join),
    st.sampled_from([text for text in HARD_TEXTS.values() if len(text) < 1_000]),
)


def pair(baseline: str, candidate: str, *, prompt_id: str = "p", tokens: bool = True) -> Pair:
    """A pair of generations; their token ids, if wanted, are the code points of their texts."""

    def generation(text: str) -> Generation:
        return Generation(prompt_id, text, tuple(map(ord, text)) if tokens else None)

    return Pair(Prompt(prompt_id, "Say something."), generation(baseline), generation(candidate))


pairs = st.lists(st.builds(pair, texts, texts), max_size=6)


def values(metric: Metric, baseline: str, candidate: str, *, tokens: bool = True) -> dict[str, float | None]:
    """Each column's one value for one pair."""
    return {column.name: column.values[0] for column in metric.score([pair(baseline, candidate, tokens=tokens)])}


def check(metric: Metric, some_pairs: Sequence[Pair], *, symmetric: Iterable[str] = (), close: float = 0.0) -> None:
    """Form, range, order, batch split and symmetry (of the named columns). `close` is for encoders that pad."""
    columns = metric.score(some_pairs)
    check_form(columns, len(some_pairs))
    same = _same(close)
    backwards = metric.score(some_pairs[::-1])
    assert [c.name for c in columns] == [c.name for c in backwards] == [c.name for c in metric.score([])]
    for column, other in zip(columns, backwards, strict=True):
        assert same(column.values, other.values[::-1])
    one_by_one = [metric.score([p]) for p in some_pairs]
    for i, column in enumerate(columns):
        assert same(column.values, [single[i].values[0] for single in one_by_one])
    swapped = {c.name: c for c in metric.score([Pair(p.prompt, p.candidate, p.baseline) for p in some_pairs])}
    for column in columns:
        if column.name in symmetric:
            assert same(column.values, swapped[column.name].values)
    assert set(symmetric) <= set(swapped)


def check_form(columns: Sequence[Column], n: int) -> None:
    """One number or None per pair, finite and within the column's bounds; and so are weights and sides."""
    for column in columns:
        assert len(column.values) == n
        low, high = column.bounds or (float("-inf"), float("inf"))
        for value in column.values:
            assert value is None or (type(value) is float and low <= value <= high), (column.name, value)
        assert [s is None for s in column.sides or [None] * n] == [v is not None for v in column.values]
        if column.weights is not None:
            assert [w is None for w in column.weights] == [v is None for v in column.values]
            assert all(w is None or w >= 0 for w in column.weights)


def check_identity(metric: Metric, text: str, *, unscored: bool = False) -> None:
    """A text is exactly 1 to itself in every similarity, and 0 in every break; with `unscored`, that or None."""
    for column in metric.score([pair(text, text)]):
        if column.better != "neither":
            expected = 1.0 if column.better == "higher" else 0.0
            value = column.values[0]
            assert value == expected or (unscored and value is None), (column.name, value)


def check_hard_texts(metric: Metric, *, identity: bool = True, unscored: bool = False) -> None:
    """Every hard text against itself and against the next one, in one batch."""
    if identity:
        for text in HARD_TEXTS.values():
            check_identity(metric, text, unscored=unscored)
    neighbours = list(HARD_TEXTS.values())
    batch = [pair(a, b) for a, b in zip(neighbours, [*neighbours[1:], ""], strict=True)]
    check_form(metric.score(batch), len(batch))


def check_empty(metric: Metric, *, both: float | None = 1.0, one: float | None = 0.0) -> None:
    """What the similarities say of two empty texts, and of one."""
    for (baseline, candidate), expected in {("", ""): both, ("", "word."): one, ("word.", ""): one}.items():
        for column in metric.score([pair(baseline, candidate)]):
            if column.better == "higher":
                assert column.values[0] == expected, (column.name, baseline, candidate)


def _same(close: float) -> Callable[[Sequence[float | None], Sequence[float | None]], bool]:
    if close == 0.0:
        return lambda a, b: list(a) == list(b)
    return lambda a, b: list(a) == [x if x is None else pytest.approx(x, abs=close) for x in b]
