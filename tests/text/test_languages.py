"""Whether a candidate leaves the baseline's language."""

import itertools
import json
import time
from pathlib import Path

import pytest

from fidelity.text.languages import LANGUAGES, leaves_language
from tests import laws

pytest.importorskip("py3langid")

SENTENCES = {
    "en": "The weather will be fine tomorrow, so we are going to walk along the river and have lunch in the old town. ",
    "de": "Morgen wird das Wetter schön, deshalb gehen wir am Fluss spazieren und essen in der Altstadt zu Mittag. ",
    "es": "Mañana hará buen tiempo, así que vamos a pasear por la orilla del río y a comer en el casco antiguo. ",
    "fr": "Demain il fera beau, alors nous allons nous promener au bord de la rivière et déjeuner en vieille ville. ",
    "hi": "कल मौसम अच्छा रहेगा, इसलिए हम नदी के किनारे टहलने जाएँगे और पुराने शहर में दोपहर का खाना खाएँगे। ",
    "zh": "明天天气会很好，所以我们要去河边散步，然后在老城区吃午饭，晚上再坐火车回家，一起看电影和聊天。",
    "ja": "明日は天気が良いので、私たちは川沿いを散歩して、旧市街で昼食を食べ、夜は電車で家に帰るつもりです。",
    "th": "พรุ่งนี้อากาศจะดี ดังนั้นเราจะไปเดินเล่นริมแม่น้ำและกินอาหารกลางวันในเมืองเก่า",
    "ar": "الذكاء الاصطناعي هو فرع من علوم الحاسوب يهدف إلى بناء آلات قادرة على أداء المهام التي تتطلب ذكاء بشريا.",
    "ru": "Завтра будет хорошая погода, поэтому мы пойдём гулять вдоль реки и пообедаем в старом городе.",
    "ko": "내일은 날씨가 좋을 것이므로 우리는 강변을 산책하고 구시가지에서 점심을 먹을 예정입니다.",
}


TAIL_DE = "Vielen Dank für Ihre Frage und einen schönen Tag."
SHORT = Path(__file__).parent.parent / "fixtures" / "refusals"


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(SENTENCES, 2)))
def test_another_language(one, other):
    assert leaves_language(SENTENCES[one], SENTENCES[other])
    # half-way, and at the end
    assert leaves_language(SENTENCES[one] * 6, SENTENCES[one] * 3 + "\n" + SENTENCES[other] * 3)
    assert leaves_language(SENTENCES[one] * 5, SENTENCES[one] * 5 + "\n" + SENTENCES[other])


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ("The capital of France is Paris.", "Die Hauptstadt von Frankreich ist Paris."),
        ("Yes, of course.", "Ja, natürlich."),
        ("Water boils at 100 degrees.", "El agua hierve a 100 grados."),
        (SENTENCES["en"] * 6, SENTENCES["en"] * 6 + TAIL_DE),
        (SENTENCES["en"] * 6, SENTENCES["en"] * 6 + "谢谢"),
        (SENTENCES["en"] * 6, SENTENCES["en"] * 2 + SENTENCES["de"] * 3 + SENTENCES["en"]),
        ("The data is ready.", "The 数据 is ready."),
    ],
)
def test_what_leaves_it(baseline, candidate):
    assert leaves_language(baseline, candidate)


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ("Paris.", "The capital is Paris."),
        ("Das ist richtig.", "Ja, das stimmt."),
        ("Paris, Lyon, Marseille", "Berlin, Hamburg, München"),
        (SENTENCES["en"] * 3, SENTENCES["en"] * 3 + 'The German word for it is "Gemütlichkeit".'),
        (SENTENCES["en"] + SENTENCES["de"], SENTENCES["en"] + SENTENCES["de"] * 2),
        (SENTENCES["de"] * 2, "```python\nfor item in the_list:\n    print(item)\n```\n" + SENTENCES["de"]),
        ("苹果公司发布了新手机。", "Apple发布了新的iPhone手机。"),
        (SENTENCES["de"] * 2, ""),
        ("", SENTENCES["de"] * 2),
    ],
)
def test_what_stays_in_it(baseline, candidate):
    assert not leaves_language(baseline, candidate)


def test_the_language_of_the_prompt_is_no_new_script():
    assert not leaves_language("It means hello.", "你好 means hello.", prompt="What does 你好 mean?")


def test_short_answers():
    # 200 texts of 5 to 25 words in ten languages, each against each: none leaves its own, and each leaves the others'.
    rows = [
        json.loads(line)
        for name in ("tuning", "held_out")
        for line in (SHORT / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    texts = {code: [row["text"] for row in rows if row["language"] == code] for code in sorted(LANGUAGES)}
    same = [leaves_language(*pair) for own in texts.values() for pair in itertools.permutations(own[:8], 2)]
    assert sum(same) == 0
    codes = [code for code, own in texts.items() if own]
    assert len(codes) == 10
    other = [leaves_language(texts[a][n], texts[b][n]) for a, b in itertools.permutations(codes, 2) for n in range(8)]
    assert sum(other) / len(other) >= 0.99


def test_hard_texts_take_no_time():
    start = time.process_time()
    for text in laws.HARD_TEXTS.values():
        assert not leaves_language(text, text)
        leaves_language("Hello there, my friend.", text)
        leaves_language(text, "Hello there, my friend.")
    assert time.process_time() - start < 10
