import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from pydantic import ValidationError

from fidelity.encoders.base import TokenVectors
from fidelity.errors import FidelityError
from fidelity.metrics import bertscore
from fidelity.metrics.bertscore import BertScore
from tests import laws
from tests.encoders.fake_encoder import FakeEncoder
from tests.encoders.minilm import minilm_source, needs_minilm, open_minilm

METRIC = BertScore(layer=1).bind(FakeEncoder())
RESCALED = BertScore(layer=1, rescale=(0.3, 0.3, 0.3)).bind(FakeEncoder())
NAMES = ["bertscore", "bertscore_precision", "bertscore_recall"]


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    for metric in (METRIC, RESCALED):
        laws.check(metric, pairs, symmetric=["bertscore"], close=1e-5)


@given(laws.texts)
def test_identical_texts_give_exactly_one(text):
    laws.check_identity(METRIC, text)
    laws.check_identity(RESCALED, text)


def test_hard_texts():
    for metric in (METRIC, RESCALED):
        laws.check_hard_texts(metric)
        laws.check_empty(metric)


def test_the_columns_are_known_without_an_encoder():
    assert tuple(c.name for c in BertScore(rescale="fit").score([])) == tuple(NAMES)


class OneHot(FakeEncoder):
    """Every token is at right angles to every other, special tokens included."""

    def token_vectors(self, texts, *, layer, overlap):
        words = ["[CLS]", "[SEP]", *"abcd"]
        rows = [["[CLS]", *text.split(), "[SEP]"] for text in texts]
        return [
            TokenVectors(
                np.array([[float(word == token) for word in words] for token in row], np.float32),
                np.array([not token.startswith("[") for token in row]),
                0.0,
            )
            for row in rows
        ]


def test_by_hand():
    # Baseline a b c, candidate a a a d: of the candidate's tokens 3/4 are in the baseline (precision), of its own 1/3
    # in the candidate (recall). F1 = 2 * 3/4 * 1/3 / (3/4 + 1/3) = 6/13. The special tokens match and don't count.
    values = laws.values(BertScore(layer=1).bind(OneHot()), "a b c", "a a a d")
    assert values == pytest.approx(dict(zip(NAMES, [6 / 13, 3 / 4, 1 / 3], strict=True)))
    # Rescaled, each by its own constant: (3/4 - 1/2) / (1 - 1/2) = 1/2; the recall of 1/3 is below 1/2, so it is 0.
    metric = BertScore(layer=1, rescale=(0.5, 0.5, 0.2)).bind(OneHot())
    expected = dict(zip(NAMES, [(6 / 13 - 0.2) / 0.8, 1 / 2, 0.0], strict=True))
    assert laws.values(metric, "a b c", "a a a d") == pytest.approx(expected)


def test_an_unreadable_script_is_unscored():
    assert set(laws.values(METRIC, "กรุงเทพ", "เชียงใหม่").values()) == {None}


def test_each_distinct_text_is_encoded_once_for_all_candidates_and_equal_pairs_not_at_all():
    encoder = FakeEncoder()
    pairs = [laws.pair(a, b) for a, b in [("a", "b"), ("c", "d"), ("a", "d"), ("b", "a"), ("e", "e"), ("a", "b")]]
    BertScore(layer=1).bind(encoder).score(pairs)
    assert sorted(encoder.embedded) == ["a", "b", "c", "d"]


def test_portions_keep_to_the_window_and_change_nothing(monkeypatch):
    both = [("aaa", "b"), ("cc", "d"), ("aaa", "dd"), ("cc", "e")]
    expected = [laws.values(METRIC, a, b)["bertscore"] for a, b in both]
    monkeypatch.setattr(bertscore, "WINDOW", 6)
    assert list(bertscore._portions(set(both))) == [[("aaa", "b"), ("aaa", "dd")], [("cc", "d"), ("cc", "e")]]
    assert METRIC.score([laws.pair(a, b) for a, b in both])[0].values == pytest.approx(expected)


def test_a_text_is_met_again_soon_however_the_low_anchors_are_shuffled():
    """Low anchors hold each candidate against another prompt's baseline; by name alone that could be far away."""
    prompts = list(range(100))
    random.Random(0).shuffle(prompts)
    true = {(f"baseline {i}", f"candidate {i} {c}") for i in prompts for c in range(4)}
    low = {(f"baseline {j}", f"candidate {i} {c}") for i, j in pairwise(prompts) for c in range(4)}
    order = list(bertscore._neighbours_first(true | low))
    assert set(order) == true | low
    assert len(order) == len(true | low)
    places = {}
    for place, pair in enumerate(order):
        for text in pair:
            places.setdefault(text, []).append(place)
    assert max(max(p) - min(p) for p in places.values()) < 40


def test_the_layer_is_the_package_s_for_a_known_encoder_and_must_be_given_for_another():
    assert (BertScore().encoder, BertScore().layer) == ("FacebookAI/roberta-large", 17)
    assert BertScore(encoder="some/where/roberta-base").layer == 10
    assert BertScore(encoder="roberta-base", layer=3).layer == 3
    with pytest.raises(ValidationError, match="say which layer of all-MiniLM-L6-v2 to use"):
        BertScore(encoder="sentence-transformers/all-MiniLM-L6-v2")


def test_constants_are_fitted_on_shuffled_baselines_alone_and_enter_the_signature():
    metric = BertScore(layer=1, rescale="fit").bind(FakeEncoder())
    baselines = ["the cat sat", "on the mat", "a dog ran", "and so on", "far away"]
    fitted = metric.fit([laws.pair(text, "whatever") for text in baselines])
    again = metric.fit([laws.pair(text, "else") for text in reversed(baselines)])
    assert fitted.signature() == again.signature()
    assert f"rescale:{fitted.rescale}" in fitted.signature()
    # The constants are means of such scores.
    raw = [laws.values(METRIC, a, b)["bertscore"] for a in baselines for b in baselines if a != b]
    assert min(raw) <= fitted.rescale[2] <= max(raw)
    assert laws.values(fitted, "the cat sat", "the cat sat")["bertscore"] == 1.0
    assert METRIC.fit([]) is METRIC


def test_what_cannot_be_fitted_or_was_not_is_refused():
    metric = BertScore(layer=1, rescale="fit").bind(FakeEncoder())
    with pytest.raises(FidelityError, match="needs two different baselines"):
        metric.fit([laws.pair("a", "b"), laws.pair("a", "c")])
    with pytest.raises(FidelityError, match="was not fitted"):
        metric.score([laws.pair("a", "b")])


PAIRS = [
    ("The cat sat on the mat.", "A cat was sitting on a mat."),
    ("The capital of France is Paris.", "The capital of France is not Paris."),
    ("Straßenbahnfahrer mögen süße Äpfel.", "Tram drivers like sweet apples."),
    ("def f(x):\n    return x + 1", "def g(y):\n    return y - 1"),
]


@needs_minilm
@pytest.mark.filterwarnings("default")
def test_it_is_the_number_of_the_bert_score_package():
    """bert_score.score(candidates, references, model_type=..., num_layers=6), bert-score 0.3.13."""
    metric = BertScore(encoder=str(minilm_source().path), layer=6).bind(open_minilm())
    columns = metric.score([laws.pair(a, b) for a, b in PAIRS])
    numbers = [
        [0.890883, 0.836158, 0.146913, 0.633140],
        [0.878978, 0.798911, 0.153671, 0.628586],
        [0.903115, 0.877048, 0.140724, 0.637760],
    ]
    for column, expected in zip(columns, numbers, strict=True):
        assert column.values == pytest.approx(expected, abs=1e-4)


@needs_minilm
@pytest.mark.filterwarnings("default")
def test_the_package_itself_agrees():
    package = pytest.importorskip("bert_score")
    path = str(minilm_source().path)
    precision, recall, f1 = package.score([b for _, b in PAIRS], [a for a, _ in PAIRS], model_type=path, num_layers=6)
    columns = BertScore(encoder=path, layer=6).bind(open_minilm()).score([laws.pair(a, b) for a, b in PAIRS])
    for column, expected in zip(columns, (f1, precision, recall), strict=True):
        assert column.values == pytest.approx(expected.tolist(), abs=1e-5)
