"""What a gate's file may state, and what is refused with its place."""

import pytest

from fidelity.errors import ConfigError
from fidelity.gate import Gate, judge, load_gate
from tests.gate.evidence import evidence, measured


class TestFile:
    def load(self, tmp_path, text):
        file = tmp_path / "gate.yaml"
        file.write_text(text)
        return load_gate(file)

    def test_as_in_the_docs(self, tmp_path):
        gate = self.load(
            tmp_path,
            "confidence: 0.95\nmargins: {rougeL: 0.05, sts: 0.02}\ntail: {sts: 0.10}\n"
            "breaks: {json: 0.05, loop: 0.05}\nmax_failed: 0.02\nprimary: sts\n",
        )
        assert gate.margins == {"rougeL": 0.05, "sts": 0.02}
        assert gate == Gate(
            margins={"rougeL": 0.05, "sts": 0.02}, tail={"sts": 0.1}, breaks={"json": 0.05, "loop": 0.05}, primary="sts"
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected a mapping of keys (confidence:, conflicts:, margins:, breaks: ...), got nothing"),
            ("margin: {sts: 0.1}", "unknown key 'margin'; did you mean 'margins'?"),
            (
                "margins: {}",
                "contains no limit, so everything would pass; add 'conflicts', 'margins', 'tail', 'breaks' or 'drops'",
            ),
            ("margins: {sts: 0}", "margins.sts: Input should be greater than 0"),
            ("margins: {sts: .nan}", "margins.sts: Input should be a finite number"),
            ("margins: {sts: yes}", "margins.sts: Input should be a valid number"),
            ("margins: {sts: '0.1'}", "margins.sts: Input should be a valid number"),
            ("breaks: {json: 5}", "breaks.json: Input should be less than 1"),
            ("margins: {sts: 0.1}\nconfidence: 95", "confidence: Input should be less than 1"),
            ("margins: {sts: 0.1}\nprimary: st", "primary: 'st' has no margin; did you mean 'sts'?"),
            ("margins: [sts]", 'margins: expected a mapping, got ["sts"]'),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(self, tmp_path, text, message):
        with pytest.raises(ConfigError) as caught:
            self.load(tmp_path, text)
        assert str(caught.value).startswith(str(tmp_path / "gate.yaml"))
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("gate", "message"),
        [
            (Gate(margins={"rougel": 0.1}), "margins.rougel: no such column is scored; did you mean"),
            (Gate(tail={"zzz": 0.1}), "tail.zzz: no such column is scored; choose from rougeL, break_json"),
            (
                Gate(margins={"first_divergence": 2}),
                "margins.first_divergence: a descriptive column, which can't be judged; "
                "use 'prefix_agreement' instead",
            ),
            (Gate(margins={"rougeL": 1}), "margins.rougeL: 1 can't be exceeded, since rougeL is between 0 and 1"),
            (Gate(breaks={"jsno": 0.1}), "breaks.jsno: the column 'break_jsno' is not scored; did you mean"),
        ],
    )  # fmt: skip
    def test_columns_that_are_not_there(self, gate, message):
        columns = {
            "rougeL": measured([1.0] * 300, [1.0] * 300),
            "prefix_agreement": measured([1.0] * 300, [1.0] * 300),
            "first_divergence": measured([1.0] * 300, [1.0] * 300, better="neither", bounds=None),
            "break_json": measured([0.0] * 300, [0.0] * 300, better="lower"),
        }
        if "tail" in message:
            del columns["prefix_agreement"]
        with pytest.raises(ConfigError) as caught:
            judge(gate, evidence(columns))
        assert message in str(caught.value)
