"""The JSON report against its published schema."""

import json
from dataclasses import replace

import jsonschema
import pytest

from fidelity.report import as_json, json_schema


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def plain(*arguments):
    """As a reader of the file gets it: NaN or a record would not come through."""
    return json.loads(json.dumps(as_json(*arguments), allow_nan=False))


def test_real_output_follows_the_schema(validator, recordings, verdicts):
    data = plain(recordings, verdicts)
    validator.validate(data)
    fp8 = data["comparisons"][2]
    assert fp8["verdict"]["outcome"] == "fail"
    assert fp8["verdict"]["lines"][0]["lower"] == 0.4704  # unrounded
    assert "candidate" not in fp8["verdict"]


def test_so_is_one_without_gate_and_control_and_with_failures(validator, recordings, hostile):
    validator.validate(plain(hostile))
    alone = replace(recordings, controls=(), not_compared={"w4a16": "the engine died"})
    data = plain(alone)
    validator.validate(data)
    assert data["floor"] is None
    assert [comparison["verdict"] for comparison in data["comparisons"]] == [None] * 3


def test_the_schema_refuses_what_it_does_not_describe(validator, recordings, verdicts):
    for spoil in (
        lambda data: data.update(extra=1),
        lambda data: data["comparisons"][0].update(verdict={"outcome": "passed"}),
        lambda data: data["comparisons"][2]["verdict"]["lines"][0].pop("reason"),
        lambda data: data["comparisons"][0]["columns"]["rouge1"].pop("mean"),
        lambda data: data.update(schema_version=2),
    ):
        data = plain(recordings, verdicts)
        spoil(data)
        assert not validator.is_valid(data)
