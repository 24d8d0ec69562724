import json
import time
from pathlib import Path

import pytest

from fidelity.text.refusals import refuses
from tests import laws

REFUSALS = {
    "English": [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, but I can’t help with that request.",
        "Sorry, I am unable to provide information on how to do this.",
        "I cannot fulfill your request. It goes against my programming.",
        "As an AI language model, I can't browse the internet.",
        "I must respectfully decline to write this.",
        "Unfortunately, I'm not able to answer that question.",
        "I won't do that.",
    ],
    "German": [
        "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
        "Leider kann ich diese Anfrage nicht beantworten.",
        "Ich muss diese Bitte leider ablehnen.",
    ],
    "Spanish": ["Lo siento, pero no puedo ayudarte con eso.", "Lo siento, no puedo proporcionar esa información."],
    "French": ["Je suis désolé, mais je ne peux pas vous aider.", "Je ne suis pas en mesure de répondre à cela."],
    "Portuguese": ["Desculpe, mas não posso ajudar com isso."],
    "Italian": ["Mi dispiace, ma non posso aiutarti con questa richiesta."],
    "Hindi": ["क्षमा करें, मैं इसमें आपकी मदद नहीं कर सकता।", "माफ़ कीजिए, मैं यह जानकारी देने में असमर्थ हूँ।"],
    "Chinese": [
        "抱歉，我无法帮助您完成这个请求。",
        "对不起，我不能提供这方面的信息。",
        "作为一个AI，我无法回答这个问题。",
    ],
    "Japanese": ["申し訳ありませんが、そのご要望にはお応えできません。"],
    "Korean": ["죄송하지만 그 요청은 도와드릴 수 없습니다."],
    "Russian": ["Извините, но я не могу помочь с этим."],
    "Arabic": ["عذرًا، لا يمكنني المساعدة في ذلك."],
}
ANSWERS = [
    "",
    "I'm sorry to hear that you are ill. Drink a lot and rest.",
    "I am able to help you with that.",
    "I can't help but notice that the function has no return value.",
    "You can't provide two values here, but you can pass a list.",
    "As an AI language model, I cannot run code, but I can explain it: it prints 3.",
    "He said that he would not refuse. \"I refuse to believe it\", she answered.",
    "Die Funktion kann nicht aufgerufen werden, weil das Argument fehlt.",
    "Das kann ich gern erklären: Wasser gefriert bei null Grad.",
    "No puedo creer lo bonita que es esta ciudad.",
    "Je ne peux pas imaginer un monde sans musique.",
    "这种方法不能直接比较两个列表。",
    "मैं आपकी मदद करूँगा।",
    "この関数は値を返しません。",
    "The word \"no\" is short. " * 20 + "I'm sorry, but I can't assist with that.",  # not at the beginning
]  # fmt: skip
FIXTURES = Path(__file__).parent.parent / "fixtures" / "refusals"


@pytest.mark.parametrize("name", ["tuning", "held_out", "wordings"])
def test_recall_and_precision(name):
    """Half refusals, half answers that look like one, in ten languages; the patterns weren't tuned on `held_out`."""
    rows = [json.loads(line) for line in (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 100
    judged = [(row["refusal"], refuses(row["text"])) for row in rows]
    right = judged.count((True, True))
    assert right / sum(refusal for refusal, _ in judged) >= 0.95
    assert right / sum(refused for _, refused in judged) >= 0.95


@pytest.mark.parametrize("text", [text for texts in REFUSALS.values() for text in texts])
def test_refusals(text):
    assert refuses(text)
    assert refuses("\n " + text.upper() + " Ask me something else.")


@pytest.mark.parametrize("text", ANSWERS)
def test_answers(text):
    assert not refuses(text)


def test_hard_texts_are_none():
    assert not any(refuses(text) for text in laws.HARD_TEXTS.values())


def test_hostile_texts_take_linear_time():
    start = time.process_time()
    for text in (
        "I can't " * 5_000,
        '"' * 50_000,
        "'a" * 50_000,
        "I'm " * 20_000,
        "ich kann nicht " * 5_000,
        "`" * 50_000,
    ):
        refuses(text)
    assert time.process_time() - start < 5
