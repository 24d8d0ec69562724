"""Random checkpoints are read right, or called unknown or contradictory; never wrong, and never with a traceback."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fidelity.checkpoints import NOT_KNOWN, contrast, dissect, refuse_faults
from fidelity.errors import FidelityError
from fidelity.inspection import as_json, inspect
from tests.checkpoints.random_layouts import damaged, layouts
from tests.checkpoints.test_layouts import schemes_of

QUICK = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
THOROUGH = settings(QUICK, max_examples=2000)


def written(layout):
    folder = Path(tempfile.mkdtemp())
    return layout.write(folder / "m")


def right(layout):
    """A checkpoint without a fault has the right numbers, layer by layer."""
    folder = written(layout)
    anatomy = dissect(folder)
    refuse_faults(folder)
    assert anatomy.checkpoint.parameters == layout.parameters, anatomy.checkpoint
    assert anatomy.tensor_bytes == layout.tensor_bytes
    labels = schemes_of(folder)
    assert {name: labels[name] for name in layout.schemes} == dict(layout.schemes)
    assert sum(share for _, share in anatomy.shares) == pytest.approx(1)
    shutil.rmtree(folder.parent)


def not_wrong(layout, kind):
    """With damage: the truth, "layout not known", or an error that names the problem."""
    folder = written(layout)
    try:
        anatomy = dissect(folder)
        json.dumps(as_json(inspect(str(folder), ask_vllm=False)))
        contrast(folder, folder)
        refuse_faults(folder)
        labels = schemes_of(folder)
    except FidelityError:
        return
    finally:
        shutil.rmtree(folder.parent)
    if anatomy.checkpoint.format.startswith(NOT_KNOWN):
        assert anatomy.checkpoint.parameters is None
        return
    wrong = {name: labels.get(name) for name, scheme in layout.schemes.items() if not same(labels.get(name), scheme)}
    assert (kind, anatomy.checkpoint.parameters, wrong) == (kind, layout.parameters, {}), anatomy.checkpoint.format


def same(label, scheme):
    """Another config can call a row's one group a row."""
    return label is not None and label.partition(" ")[0] == scheme.partition(" ")[0]


class TestQuick:
    @given(layouts())
    @QUICK
    def test_without_a_fault(self, layout):
        right(layout)

    @given(damaged())
    @QUICK
    def test_with_a_fault(self, case):
        not_wrong(*case)


@pytest.mark.slow
class TestThorough:
    @given(layouts())
    @THOROUGH
    def test_without_a_fault(self, layout):
        right(layout)

    @given(damaged())
    @THOROUGH
    def test_with_a_fault(self, case):
        not_wrong(*case)
