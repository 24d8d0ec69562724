import pytest

from fidelity.text.languages import main_language
from tests import laws

langid = pytest.importorskip("py3langid")

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


@pytest.mark.parametrize(("code", "sentence"), SENTENCES.items())
def test_it_is_py3langid(code, sentence):
    assert main_language(sentence * 2) == code == langid.classify(sentence * 2)[0]


def test_code_does_not_count():
    code = "```python\n" + "for item in the_list: print(item.name, item.value)\n" * 20 + "```\n"
    assert main_language(code + SENTENCES["de"] * 2 + "\n" + code) == "de"
    assert main_language(code) is None


def test_the_language_of_most_of_it_counts():
    assert main_language(SENTENCES["de"] * 5 + SENTENCES["en"]) == "de"


def test_it_does_not_guess():
    # 30 letters, and letters enough that are no language.
    assert main_language("This is English, but too short.") is None
    assert main_language("X:1 T:U M:4 L:1 K:G |:G2A2|B2A2|G2E2|D4|E2F2|G2F2|E2C2|B,4| " * 4) is None
    for text in laws.HARD_TEXTS.values():
        main_language(text)
