"""The notes of a report."""

from fidelity.report.content import notes
from tests.report.conftest import compared


def test_answers_that_differ_in_normalization_alone_are_counted(workspace):
    texts = ["caf\u00e9", "it isn't", "5 km", "other", "same"]
    others = ["cafe\u0301", "it isn\u2019t", "5\u00a0km", "another", "same"]
    base = workspace.recorded("base", [{"id": str(n), "text": text} for n, text in enumerate(texts)])
    quant = workspace.recorded("quant", [{"id": str(n), "text": text} for n, text in enumerate(others)])
    result = compared(workspace.store, base, quant, metrics=["identical", "rouge"])
    (note,) = [note for note in notes(result) if "normalization" in note]
    assert note.startswith("quant: 3 answers differ only in normalization")
    assert result.candidates[0].columns["identical"].column.values == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert result.candidates[0].columns["rougeL"].column.values == (1.0, 1.0, 1.0, 0.0, 1.0)
