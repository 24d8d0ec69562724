"""Which scripts are new in a candidate."""

import pytest

from fidelity.text.scripts import foreign_scripts


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        ("The data is ready.", "The 数据 is ready.", {"Han"}),
        ("The data is ready.", "The 的 is ready.", {"Han"}),
        ("The answer is many.", "The answer is m\u0430n\u0443.", {"Cyrillic"}),
        ("明天天气很好。", "明日は天気が良い。", {"Hiragana"}),
        ("はい、そうです。", "東京タワーです。", set()),
        ("サーバー", "東京です", set()),
        ("서울은 수도이다.", "서울은 東京 수도이다.", {"Han"}),
        ("यह अच्छा है।", "यह ভালো है।", {"Bengali"}),
        ("The angle is 30.", "The angle α is 30, π is 3.14, ΔE small.", set()),
        ("The angle is 30.", "The γωνία is 30.", {"Greek"}),
        ("It is umi.", "It is umi (海), also “海” and [海].", set()),
        ("Great!", "Great! 😀 café ½ №", set()),
        ("苹果发布了手机。", "Apple 发布了 iPhone。", set()),
        ("", "नमस्ते", {"Devanagari"}),
        ("नमस्ते", "", set()),
    ],
)
def test_by_hand(baseline, candidate, expected):
    assert foreign_scripts(baseline, candidate) == expected


def test_what_the_prompt_has_is_not_new():
    assert foreign_scripts("It means hello.", "你好 means hello.", "What does 你好 mean?") == set()
