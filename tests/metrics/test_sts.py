import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

import fidelity
from fidelity.metrics.sts import Sts
from fidelity.records import Generation, Pair, Prompt
from tests import laws
from tests.encoders.fake_encoder import FakeEncoder, direction
from tests.encoders.minilm import needs_minilm, open_minilm

WHOLE = Sts().bind(FakeEncoder(4))
CUT = Sts(chunk=False).bind(FakeEncoder(4))
PROFILE = Sts(profile=True).bind(FakeEncoder(4))
DECILES = [f"sts[decile={d}]" for d in range(1, 11)]


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(WHOLE, pairs, symmetric=["sts", "sts_match", "sts_coverage"], close=1e-5)
    laws.check(CUT, pairs, symmetric=["sts", "sts_coverage"], close=1e-5)
    laws.check(PROFILE, pairs, close=1e-5)


@given(laws.texts)
def test_identical_texts_give_exactly_one(text):
    laws.check_identity(WHOLE, text)
    laws.check_identity(CUT, text)
    laws.check_identity(PROFILE, text, unscored=True)


def test_hard_texts():
    for metric in (Sts().bind(FakeEncoder(200)), CUT):
        laws.check_hard_texts(metric)
        laws.check_empty(metric)
    laws.check_hard_texts(Sts(profile=True).bind(FakeEncoder(200)), unscored=True)


def test_the_columns_are_known_without_an_encoder():
    assert [c.name for c in Sts().score([])] == [
        "sts",
        "sts_match",
        "sts_coverage",
    ]
    assert [c.name for c in Sts(chunk=False, profile=True).score([])] == ["sts", "sts_coverage", *DECILES]


def test_the_embedding_is_the_mean_of_the_chunks_weighted_by_their_words():
    # Two chunks, "a b c." (3 words) and "d." (1): direction 3 u + 1 v, u and v being the chunks' unit vectors.
    u = direction("a") + direction("b") + direction("c.")
    u /= np.linalg.norm(u)
    v = direction("d.")
    expected = (3 * u + v) @ v / np.linalg.norm(3 * u + v)
    columns = laws.values(Sts().bind(FakeEncoder(3)), "a b c. d.", "d.")
    assert columns["sts"] == pytest.approx(expected, abs=1e-6)
    assert columns["sts_coverage"] == 1.0


class OneHot(FakeEncoder):
    """Every word is at right angles to every other."""

    def embed(self, texts):
        words = sorted({word for text in texts for word in text.split()})
        rows = np.array([[float(text.split().count(word)) for word in words] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)


def test_best_match_by_hand():
    # Chunks of 3 words and of 1 against the first one: of the baseline's words 3/4 have a match of 1, the rest 0;
    # of the candidate's all do. F1 = 2 * 3/4 * 1 / (3/4 + 1) = 6/7.
    a, b = "a. a. a. b.", "a. a. a."
    assert laws.values(Sts().bind(OneHot(3)), a, b)["sts_match"] == pytest.approx(6 / 7, abs=1e-6)
    assert laws.values(Sts().bind(OneHot(3)), b, a)["sts_match"] == pytest.approx(6 / 7, abs=1e-6)


def test_best_match_ignores_the_order_of_chunks():
    assert laws.values(Sts().bind(OneHot(1)), "a. b.", "b. a.")["sts_match"] == 1.0


def test_drift_along_the_output_by_hand():
    # Ten words; the sentences of five and of three are repeated, "c c." is not: the last two tenths have nothing.
    values = laws.values(Sts(profile=True).bind(OneHot(9)), "a a a a a. b b b. c c.", "b b b. x y. a a a a a.")
    assert [values[name] for name in DECILES] == [1.0] * 8 + [0.0, 0.0]


def test_a_sentence_across_deciles_counts_in_each_by_its_share():
    # Fifteen words: tenths of 2, 1, 2, 1, ... words. The first sentence has three words: the first two tenths,
    # and nothing of the third.
    values = laws.values(Sts(profile=True).bind(OneHot(99)), "a a a. " + "c " * 12, "a a a.")
    assert [values[name] for name in DECILES] == [1.0, 1.0] + [0.0] * 8
    # Ten sentences of one and of two words alternate: a tenth with words of both is their mean.
    values = laws.values(Sts(profile=True).bind(OneHot(99)), "a. " + "b b. " + "c " * 17, "b b.")
    assert [values[name] for name in DECILES] == [0.5, 0.5] + [0.0] * 8


def test_a_profile_needs_words_in_its_tenths():
    values = laws.values(PROFILE, "a b", "a c")
    assert [values[name] is None for name in DECILES] == [False, True, True, True, True, False, True, True, True, True]
    assert [laws.values(PROFILE, "กรุงเทพ", "b")[name] for name in DECILES] == [None] * 10


def test_cut_off_texts_are_compared_by_their_beginnings_and_coverage_is_below_1():
    # Both read four words of six and of four: 8 of 10.
    assert laws.values(CUT, "a b c d e f", "a b c d") == {"sts": pytest.approx(1.0, abs=1e-6), "sts_coverage": 0.8}
    whole = laws.values(WHOLE, "a b c d e f", "a b c d")
    assert whole["sts"] < 1.0
    assert whole["sts_coverage"] == 1.0


def test_opposite_embeddings_give_zero_not_less():
    class Opposite(FakeEncoder):
        def embed(self, texts):
            return np.array([[1.0 if text == "yes" else -1.0] for text in texts], np.float32)

    assert laws.values(Sts().bind(Opposite()), "yes", "no")["sts"] == 0.0


def test_a_script_that_the_encoder_cannot_read_is_unscored_but_equal_texts_are_equal():
    """all-MiniLM-L6-v2 reads a whole Thai sentence as one [UNK]: any two of them had a cosine of 1."""
    assert laws.values(WHOLE, "กรุงเทพ", "เชียงใหม่")["sts"] is None
    assert laws.values(WHOLE, "กรุงเทพ", "Bangkok")["sts"] is None
    assert laws.values(WHOLE, "กรุงเทพ", "กรุงเทพ")["sts"] == 1.0


def test_each_distinct_text_is_encoded_once_and_equal_pairs_not_at_all():
    encoder = FakeEncoder()
    pairs = [laws.pair("a", "b"), laws.pair("a", "c"), laws.pair("b", "a"), laws.pair("d", "d")]
    Sts().bind(encoder).score(pairs)
    assert sorted(encoder.embedded) == ["a", "b", "c"]


def test_the_signature_names_encoder_and_revision():
    assert WHOLE.signature().startswith("sts|encoder:fake@0|chunk:True|profile:False|")


@pytest.fixture(scope="module")
def recordings():
    folder = Path(fidelity.__file__).parent / "sample_data" / "h100-smollm2-135m"

    def generations(name):
        records = map(json.loads, (folder / f"{name}.jsonl").read_text("utf-8").splitlines())
        return {r["id"]: Generation(r["id"], r["text"]) for r in records}

    runs = {file.stem: generations(file.stem) for file in folder.glob("*.jsonl")}
    return {
        name: [Pair(Prompt(i, ""), runs["bf16"][i], run[i]) for i in runs["bf16"]]
        for name, run in runs.items()
        if name != "bf16"
    }


@pytest.mark.slow
@needs_minilm
@pytest.mark.filterwarnings("default")
def test_the_truncated_form_gives_the_table_of_the_recordings(recordings):
    """The table was made with sentence-transformers' own encode() and cosine, at 256 word pieces."""
    columns = Sts(chunk=False).bind(open_minilm()).score([pair for pairs in recordings.values() for pair in pairs])
    values = iter(columns[0].values)
    means = {name: round(math.fsum(next(values) for _ in pairs) / len(pairs), 3) for name, pairs in recordings.items()}
    assert means == {
        "bf16-rev": 0.988,
        "bf16-serial": 0.995,
        "bf16-eager": 0.862,
        "w8a8-fp8": 0.753,
        "fp8-online": 0.767,
        "w8a8-int8": 0.750,
        "w4a16": 0.612,
    }


@needs_minilm
@pytest.mark.filterwarnings("default")
def test_the_real_encoder_reads_the_whole_text():
    start = "The committee met on Monday and discussed the budget at length. " * 30
    a, b = start + "In the end it approved the plan.", start + "A volcano erupted on Iceland. " * 30
    cut, whole = (laws.values(Sts(chunk=c).bind(open_minilm()), a, b) for c in (False, True))
    assert cut["sts"] == pytest.approx(1.0, abs=1e-5)
    assert cut["sts_coverage"] < 0.7
    assert whole["sts"] < 0.95
    assert whole["sts_coverage"] == 1.0


@needs_minilm
@pytest.mark.filterwarnings("default")
def test_the_laws_hold_with_the_real_encoder():
    metric = Sts().bind(open_minilm())
    laws.check_hard_texts(metric)
    laws.check_empty(metric)
    some = [
        laws.pair("Paris.", "London is a city."),
        laws.pair("Größe", "size"),
        laws.pair("x " * 600, "a\x00b \ud800"),
    ]
    laws.check(metric, some, symmetric=["sts", "sts_coverage"], close=1e-5)
    assert laws.values(metric, "กรุงเทพมหานคร", "ประเทศไทย")["sts"] is None
