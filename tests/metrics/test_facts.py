import pytest
from hypothesis import given

from fidelity.metrics.facts import Facts, facts
from tests import laws


@given(laws.pairs)
def test_it_obeys_the_laws(pairs):
    laws.check(Facts(), pairs)


@given(laws.texts)
def test_identical_texts_give_one_or_nothing_to_score(text):
    laws.check_identity(Facts(), text, unscored=True)


def test_hard_texts():
    laws.check_hard_texts(Facts(), unscored=True)


def test_without_facts_there_is_nothing_to_keep():
    assert laws.values(Facts(), "", "") == {"facts_kept": None}
    assert laws.values(Facts(), "No number here.", "3") == {"facts_kept": None}
    assert laws.values(Facts(), "There are 3.", "") == {"facts_kept": 0.0}


def test_by_hand():
    # Facts of the baseline: 2024-03-05, 12 km, 12 km, 50 %, 3.5. The candidate keeps the date in another form, one of
    # the two distances, and the share; 3.5 became -3.5. So 3 of 5.
    baseline = "On March 5, 2024 we ran 12 km and 12 kilometres: 50 percent of it at 3.5."
    candidate = "On 2024-03-05 we ran 12km, 50% of it at -3.5."
    assert laws.values(Facts(), baseline, candidate) == {"facts_kept": 3 / 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,000 1_000 1'000 1\u202f000 1000", ["1000"] * 5),
        ("3.0 3 3.10 0.5 007", ["3", "3", "31/10", "1/2", "7"]),
        ("1,000.50 1.000,50 1.000.000 3,14", ["2001/2", "2001/2", "1000000", "157/50"]),
        ("v 1.2.3 at 192.168.0.1", ["1.2.3", "192.168.0.1"]),
        ("[1,2,3]", ["1", "2", "3"]),
        ("-3 −3 +3 10-3 (x)-3 -0", ["-3", "-3", "3", "10", "3", "3", "0"]),
        ("1e-5 6.02e23", ["1/100000", f"602{'0' * 21}"]),
        ("5 km 5km 5-kilometer 5 miles", ["5 kilometer", "5 kilometer", "5 kilometer", "5 mile"]),
        ("9.8 m/s 100 km/h 20 °C 30 %", ["49/5 meter/second", "100 kilometer/hour", "20 celsius", "30 percent"]),
        ("$1,000 €5 million 7 Euro", ["1000 $", "5000000 €", "7 €"]),
        ("the 4th in the 1990s", ["4 th", "1990 second"]),
        ("٣٫١٤ 高さ333メートル １２", ["157/50", "333", "12"]),
        ("March 5, 2024; 5 Mar 2024; 5th of March 2024", ["2024-03-05"] * 3),
        ("5. März 2024, 5.3.2024, 2024/3/5, 2024年3月5日", ["2024-03-05"] * 4),
        ("03/04/2024", ["3/4/2024"]),
        ("May 2024, 25. Dezember, may 5", ["2024-05", "12-25", "5"]),
        ("at 12:30, 00:05 or 3:05 p.m.", ["12:30", "0:05", "15:05"]),
        (
            "See https://Example.com/A?x=1). Or [www.b.org](http://b.org/).",
            ["https://example.com/A?x=1", "www.b.org", "http://b.org"],
        ),
        ("1. one\n  2) two 3\n12. Dezember 2020", ["3", "2020-12-12"]),
        ("w4a16 gpt4 x1", []),
    ],
)
def test_normal_forms(text, expected):
    assert facts(text) == expected


def test_numbers_in_words():
    # Of "twelve" and 2, both are there in another form; "one of" is no number, and so isn't missed.
    assert laws.values(Facts(), "One of the twelve took 2 of it.", "The 12 of them took two of it.") == {
        "facts_kept": 1.0
    }


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("Take 50 mcg.", "mcg", "ng"),
        ("At 3 kPa.", "kPa", "MPa"),
        ("It has 16 GiB.", "GiB", "MiB"),
        ("It costs 5 M.", "M", "B"),
        ("At 5 am.", "am", "pm"),
        ("At minus 5.", "minus ", ""),
        ("At least 5 of them.", "At least", "At most"),
    ],
)
def test_what_is_not_preserved(text, old, new):
    assert laws.values(Facts(), text, text.replace(old, new)) == {"facts_kept": 0.0}
