"""The pages over a store that an earlier version wrote."""

import pytest

from fidelity.dashboard.catalog import read_shelf
from tests.dashboard.conftest import PAGES, page_text
from tests.store.test_old_stores import OLD


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(opened, page):
    app = opened(OLD / "store", page)
    assert "damaged" not in page_text(app)


def test_the_catalog_has_every_candidate():
    entries = {entry.candidate: entry for entry in read_shelf(OLD / "store").entries}
    assert {entry.state for entry in entries.values()} == {"readable"}
    assert {name: (e.baseline, e.format, e.prompts, e.controls) for name, e in entries.items()} == {
        "int8": ("base", "W8A8-INT8", 6, 1),
        "town-fp8": ("town", "W8A8-FP8", 5, 1),
        "town-int4": ("town", "W4A16-INT4", 6, 1),
    }
