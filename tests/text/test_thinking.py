"""Reasoning separated from answers: tags, channels, texts that only mention them, and endless reasoning."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.text.thinking import NO_THINKING, THINK, ReasoningFormat, Split, detect_format, split
from tests import laws

THINKS = ReasoningFormat("think")
INSIDE = ReasoningFormat("think", THINK, closes_only=True, begins_inside=True)
CHANNELS = ReasoningFormat("harmony")


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\nTwo and two.\n</think>\n\n4.\n", "Two and two.", "4.\n"),
        ("  <think>a</think>b", "a", "b"),
        ("<think></think>b", "", "b"),
        ("<think>a</think>", "a", ""),
        ("<think>it goes on and on", "it goes on and on", ""),
        ("4.", None, "4."),
        # Several blocks before the answer are all thinking; the second of these never ends.
        ("<think>a</think>\n<think>b</think>\nc", "a\n\nb", "c"),
        ("<think>a</think>\n<think>b", "a\n\nb", ""),
        # Nested ones end where they balance; where they don't, at the first that closes.
        ("<think>a<think>b</think>c</think>d", "a<think>b</think>c", "d"),
        ("<think>a <think> b</think>c", "a <think> b", "c"),
        # Talk about tags, in the answer and in the thinking.
        ("Use <think> and </think>.", None, "Use <think> and </think>."),
        ("```\n<think>x</think>\n```", None, "```\n<think>x</think>\n```"),
        ("<think>Tags like `<think>` and `</think>`.</think>Yes.", "Tags like `<think>` and `</think>`.", "Yes."),
        ("<think>\n```\ns.split('</think>')\n```\n</think>\nSo.", "```\ns.split('</think>')\n```", "So."),
        ("<think>a</think>It ends with </think>.", "a", "It ends with </think>."),
        ("<think>a</think>x<think>b</think>y", "a", "x<think>b</think>y"),
        ("<think>Say `a`, `b` and `</think>\nb", "Say `a`, `b` and `", "b"),
        # A tag in a block of code ends the reasoning if no other does.
        ("<think>\n```\nx\n</think>\n```\ny\n```", "```\nx", "```\ny\n```"),
    ],
)
def test_tags(text, thinking, answer):
    assert split(text, THINKS) == Split(thinking, answer)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("Two and two.\n</think>\n\n4.", "Two and two.", "4."),
        ("it goes on and on", "it goes on and on", ""),
        ("<think>a</think>b", "a", "b"),
        ("The tag `</think>` ends it.</think>b", "The tag `</think>` ends it.", "b"),
        ("a</think>b</think>c", "a", "b</think>c"),
        ("a <think> b</think>c", "a <think> b", "c"),
    ],
)
def test_a_block_that_the_prompt_has_opened(text, thinking, answer):
    assert split(text, INSIDE) == Split(thinking, answer)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        (
            "<|channel|>analysis<|message|>Two.<|end|><|start|>assistant<|channel|>final<|message|>4.<|return|>",
            "Two.",
            "4.",
        ),
        ("<|channel|>analysis<|message|>on and on", "on and on", ""),
        ("<|channel|>final<|message|>4.", None, "4."),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=f "
            "<|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>b",
            "a\n\n{}",
            "b",
        ),
        # What is left of the same where the detokenizer leaves out special tokens.
        ("analysisTwo and two.assistantfinal4.", "Two and two.", "4."),
        ("analysisaassistantcommentarybassistantfinalc", "a\n\nb", "c"),
        ("analysisWe go on and on", "We go on and on", ""),
        ("final4.", None, "4."),
        ("finally, 4.", None, "finally, 4."),
        ("4.", None, "4."),
        ("<|channel|>broken", None, "<|channel|>broken"),
    ],
)
def test_channels(text, thinking, answer):
    assert split(text, CHANNELS) == Split(thinking, answer)


OPENED = ["a</think>b"] * 6 + ["on and on"] * 4
TALK = ["The tag </think> closes."] + ["Paris."] * 4


class TestFormat:
    @pytest.mark.parametrize(
        ("texts", "opened", "expected"),
        [
            (["Paris.", "analysis of the data"], None, NO_THINKING),
            ([], None, NO_THINKING),
            (["<think>a</think>b", "c", "d"], None, THINKS),  # a model that thinks only when it must
            (["<think>a", "b", "c"], None, NO_THINKING),  # one text may begin with a tag by chance
            (["<think>a", "<think>b", "c"], None, THINKS),  # half of them don't
            (OPENED, None, INSIDE),
            (TALK, None, NO_THINKING),
            # The engine's record of its prompts takes precedence over the texts.
            (["on and on"] * 3, True, INSIDE),
            (TALK, True, INSIDE),
            (OPENED, False, ReasoningFormat("think", THINK, closes_only=True)),
            (["Use <think> and </think>."] * 3, None, NO_THINKING),
            (["`</think>` closes it"] * 3, None, NO_THINKING),
            (["<|channel|>analysis<|message|>a<|end|>", "b"], None, CHANNELS),
            (["analysisWe must assistantfinal4", "b", "c"], None, CHANNELS),
            (["analysisWe", "analysisThe", "b"], None, CHANNELS),
            (["analysis of it", "analysis: a", "b"], None, NO_THINKING),
            (["<|channel|> is a token of gpt-oss."], None, NO_THINKING),
        ],
    )
    def test_detected_automatically(self, texts, opened, expected):
        assert detect_format(texts, opened=opened) == expected

    def test_set_by_the_user(self):
        assert detect_format(["<think>a</think>b"], parser="none") == NO_THINKING
        assert detect_format(["b"], parser="harmony") == CHANNELS
        assert detect_format(["b"], parser="think") == THINKS
        assert detect_format(TALK, parser="think") == ReasoningFormat("think", THINK, closes_only=True)
        tags = ("[THINK]", "[/THINK]")
        assert split("[THINK]a[/THINK]b", detect_format(["x"], parser="think", tags=tags)) == Split("a", "b")


TAGGED = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "`",
            "```\n",
            "\n",
            "word ",
            "analysis",
            "assistantfinal",
            "<|channel|>",
            "<|message|>",
            "<|end|>",
            "final",
            " ",
        ]
    ),
    max_size=12,
).map("".join)


@given(st.lists(st.one_of(TAGGED, laws.texts), max_size=4), st.sampled_from([None, True, False]))
def test_whatever_the_text_nothing_but_markup_and_white_space_is_lost(texts, opened):
    reasoning_format = detect_format(texts, opened=opened)
    for text in texts:
        thinking, answer = split(text, reasoning_format)
        if thinking is None and reasoning_format.form != "harmony":
            assert answer == text
        left = "".join((thinking or "").split()) + "".join(answer.split())
        assert len(left) <= len(text)
        assert answer in text


@pytest.mark.parametrize("piece", ["<think>", "</think>", "`</think>", "```\n<think>\n", "<|channel|>a", "~~~\n```\n"])
def test_hostile_texts_take_no_time(piece):
    text = (piece * 100_000)[:200_000]
    before = time.process_time()
    for parser in ("think", "harmony", "auto"):
        split(text, detect_format([text], parser=parser))
        split("<think>" + text, detect_format([text], parser=parser))
    assert time.process_time() - before < 5
