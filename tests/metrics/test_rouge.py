import random

import pytest
from hypothesis import given
from rouge_score.rouge_scorer import RougeScorer

from fidelity.metrics.rouge import Rouge
from fidelity.text import union_lcs
from tests import laws

COLUMNS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
SYMMETRIC = ["rouge1", "rouge2", "rougeL"]
AS_PACKAGE = Rouge(tokenizer="rouge_score", parts="all")


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Rouge(parts="all"), pairs, symmetric=SYMMETRIC)
    laws.check(Rouge(tokenizer="rouge_score"), pairs, symmetric=SYMMETRIC)


@given(laws.texts)
def test_identical_texts_give_exactly_one(text):
    laws.check_identity(Rouge(parts="all"), text)
    laws.check_identity(Rouge(stem=True), text)


@pytest.mark.parametrize("stem", [False, True])
def test_hard_texts(stem):
    laws.check_hard_texts(Rouge(stem=stem, parts="all"))
    laws.check_hard_texts(Rouge(stem=stem, tokenizer="rouge_score"), identity=False)
    laws.check_empty(Rouge(stem=stem, parts="all"))


def test_by_hand():
    # baseline the cat sat on the mat (6 words), candidate the cat lay on the mat there (7).
    # Shared words: the 2, cat, on, mat = 5. Shared pairs of 5 and 6: the-cat, on-the, the-mat = 3.
    # Longest common subsequence: the cat on the mat = 5.
    values = laws.values(Rouge(parts="all"), "the cat sat on the mat", "the cat lay on the mat there")
    assert values == {
        "rouge1": 2 * 5 / 13,
        "rouge1_precision": 5 / 7,
        "rouge1_recall": 5 / 6,
        "rouge2": 2 * 3 / 11,
        "rouge2_precision": 3 / 6,
        "rouge2_recall": 3 / 5,
        "rougeL": 2 * 5 / 13,
        "rougeL_precision": 5 / 7,
        "rougeL_recall": 5 / 6,
        "rougeLsum": 2 * 5 / 13,  # one line each: the same subsequence
        "rougeLsum_precision": 5 / 7,
        "rougeLsum_recall": 5 / 6,
    }


def test_rouge_lsum_by_hand():
    # Lin's example: the line w1 w2 w3 w4 w5 has w1 w2 in common with w1 w2 w6 w7 w8, and w1 w3 w5 with w1 w3 w8 w9 w5.
    # The union is w1 w2 w3 w5: 4 of 5 words of the baseline, and 4 of 10 of the candidate.
    values = laws.values(Rouge(parts="all"), "w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5")
    assert (values["rougeLsum_recall"], values["rougeLsum_precision"]) == (4 / 5, 4 / 10)


def test_rouge_lsum_forgives_lines_in_another_order():
    values = laws.values(Rouge(), "one two\nthree four", "three four\none two")
    assert (values["rougeL"], values["rougeLsum"]) == (0.5, 1.0)
    assert list(laws.values(Rouge(lsum=False), "", "")) == SYMMETRIC


def test_the_sign_of_a_number_counts():
    # rouge_score reads "-3" as "3": the answer turned round would score 1.0.
    assert laws.values(Rouge(tokenizer="rouge_score"), "x is -3", "x is 3")["rouge1"] == 1.0
    assert laws.values(Rouge(), "x is -3", "x is 3")["rouge1"] == 2 / 3


ENGLISH = [
    "The quick, brown fox (it wasn't lazy!) jumps; the dog doesn't care.",
    "**The fox** isn't quick: it's brown -- and the `dog` is 3.14 years old.",
    "1. Install foo_bar v1.2.3.\n2. Call `foo_bar(x=3, y=[1, 2])`; it costs $1,000.50.\n",
    "1. Call `foo(x)`.\n2. Don’t install foo-bar 1.2; it costs $1,000 (50% off).\n\n---\n",
    "On the 21st of May, in the 1990s, a 2x4 was 10 cm wide.",
    "",
]


@pytest.mark.parametrize("stem", [False, True])
def test_the_default_is_the_package_on_english(stem):
    # Punctuation was words once, under the field's plain name.
    for baseline in ENGLISH:
        for candidate in ENGLISH:
            if baseline or candidate:  # two empty texts are 0 to the package
                assert_as_package(Rouge(stem=stem, parts="all"), baseline, candidate)


def test_a_number_and_its_unit_are_two_words():
    # 10, 5, cm against 10, 5, cm, 2, 54, cm; a missing space made it 0.
    assert laws.values(Rouge(), "10.5 cm.", "10.5cm = 2.54cm")["rougeL"] == 2 * 3 / 9


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ("caf\u00e9 na\u00efve", "cafe\u0301 nai\u0308ve"),
        ("it isn't well-known: -3", "it isn\u2019t well\u2011known: \u22123"),
        ("no zero width", "no ze\u200bro wi\u00addth\ufeff"),
    ],
)
def test_spelling_alone_makes_no_difference(baseline, candidate):
    assert laws.values(Rouge(), baseline, candidate) == dict.fromkeys(COLUMNS, 1.0)


def test_symbols_are_words_where_there_is_nothing_else():
    assert laws.values(Rouge(), "👍", "👎") == dict.fromkeys(COLUMNS, 0.0)
    assert laws.values(Rouge(), "? ! ...", "? !")["rouge1"] == 2 * 2 / 7
    assert laws.values(Rouge(), "Yes!\n---", "Yes") == dict.fromkeys(COLUMNS, 1.0)


@pytest.mark.parametrize("language", ["Chinese", "Hindi", "Thai", "Arabic", "punctuation"])
def test_other_scripts_are_read(language):
    # rouge_score gives identical Chinese, Thai or Hindi texts 0, because it sees a-z and 0-9 only.
    text = laws.HARD_TEXTS[language]
    assert laws.values(Rouge(tokenizer="rouge_score"), text, text)["rouge1"] == 0.0
    half = text[: len(text) // 2]
    assert 0.4 < laws.values(Rouge(), text, half)["rouge1"] < 1.0


def test_one_word_has_no_pairs_to_share():
    assert laws.values(Rouge(), "Paris", "paris") == dict.fromkeys(COLUMNS, 1.0)
    assert laws.values(Rouge(), "Paris", "Rome") == dict.fromkeys(COLUMNS, 0.0)


def test_stemming_joins_the_forms_of_a_word():
    # running and runs are run, dogs is dog; words of three letters stay as they are.
    assert laws.values(Rouge(stem=True), "running dogs", "runs dog")["rouge1"] == 1.0
    assert laws.values(Rouge(), "running dogs", "runs dog")["rouge1"] == 0.0


@given(laws.texts, laws.texts)
def test_rouge_score_is_exactly_the_package(baseline, candidate):
    assert_as_package(AS_PACKAGE, baseline, candidate)


@pytest.mark.parametrize("stem", [False, True])
def test_rouge_score_is_exactly_the_package_on_english(stem):
    rng = random.Random(0)
    vocabulary = ["The", "cats,", "relational;", "running", "-3", "3.14", "isn't", "GENERALIZATION", "flies", "dies"]
    vocabulary += ["a", "of", "in\n", "é", "naïve", "happily", "skies"]
    metric = Rouge(tokenizer="rouge_score", stem=stem, parts="all")
    for _ in range(300):
        baseline, candidate = (" ".join(rng.choices(vocabulary, k=rng.randrange(40))) for _ in range(2))
        assert_as_package(metric, baseline, candidate)


@pytest.mark.parametrize("block", [2, 256])
def test_rouge_lsum_takes_the_same_of_several_longest_subsequences(monkeypatch, block):
    # Few distinct words and short lines make many ties; blocks of two columns make it compute columns again.
    monkeypatch.setattr(union_lcs, "BLOCK", block)
    rng = random.Random(1)
    for _ in range(300):
        vocabulary = "abcdefgh"[: rng.randint(1, 8)]
        baseline, candidate = (
            "".join(rng.choice(vocabulary) + rng.choice([" "] * 6 + ["\n", "\n\n"]) for _ in range(rng.randrange(60)))
            for _ in range(2)
        )
        assert_as_package(AS_PACKAGE, baseline, candidate)


def assert_as_package(metric, baseline, candidate):
    package = RougeScorer(COLUMNS, use_stemmer=metric.stem).score(baseline, candidate)
    own = laws.values(metric, baseline, candidate)
    for name, score in package.items():
        assert own[name] == pytest.approx(score.fmeasure, abs=1e-12)
        assert own[f"{name}_precision"] == pytest.approx(score.precision, abs=1e-12)
        assert own[f"{name}_recall"] == pytest.approx(score.recall, abs=1e-12)


def test_the_signature_names_what_the_numbers_depend_on():
    assert Rouge().signature().startswith("rouge|tokenizer:unicode|stem:False|lsum:True|parts:f1|rev:2|rapidfuzz:")
    assert "|regex:" in Rouge().signature()
    assert "|nltk:" in Rouge(stem=True).signature()
    assert "|regex:" not in Rouge(tokenizer="rouge_score").signature()
    assert "|rev:" not in Rouge(tokenizer="rouge_score").signature()
