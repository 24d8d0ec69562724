"""Results that are remembered by text, with what else they depend on."""

from fidelity.text.remembered import LONGEST_TEXT, remembered


def test_a_result_is_remembered_by_text_and_arguments_and_long_texts_are_not():
    read = []

    @remembered
    def length(text, language=None, *, least=0):
        read.append((text[:3], language, least))
        return len(text), language, least

    assert length("one") == length("one") == (3, None, 0)
    assert length("one", "de") == (3, "de", 0)
    assert length("one", least=4) == (3, None, 4)
    assert read == [("one", None, 0), ("one", "de", 0), ("one", None, 4)]
    long = "x" * (LONGEST_TEXT + 1)
    assert length(long) == length(long) == (LONGEST_TEXT + 1, None, 0)
    assert read[3:] == [("xxx", None, 0)] * 2
