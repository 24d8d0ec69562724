"""The grid of a study: columns by what ran, merged over models, and the state of cells while it runs."""

import shutil

import pytest

from fidelity.dashboard.catalog import CatalogEntry
from fidelity.dashboard.grid import Square, placed
from fidelity.dashboard.looks import COLORS, looks_of
from fidelity.dashboard.matrix import tint
from fidelity.store.studies import Cell, RunState, StudyState, read_study, write_state, write_study
from tests.dashboard.conftest import matrix, page_text
from tests.report.conftest import compared


def square(family, name, form=None, ran=None):
    cell = Cell(
        family=family,
        baseline=f"{family}-bf16",
        candidate=f"{family}-{name}",
        format=form or "format unknown",
        parameters=1,
    )
    return Square(cell, CatalogEntry("id", "readable", format=ran) if ran else None)


def headings(*squares):
    return [one.heading for one in placed(squares)]


class TestColumns:
    def test_two_models_of_three_formats_are_three_columns(self):
        formats = (("w8a8-int8", "W8A8-INT8"), ("fp8-online", "W8A8-FP8"), ("w4a16", "W4A16-INT4 g64"))
        squares = [square(model, name, ran=ran) for model in ("smol", "gemma-3") for name, ran in formats]
        assert len(set(headings(*squares))) == 3

    def test_a_format_that_a_model_has_twice_has_two_columns_for_all_models(self):
        squares = [
            square(model, name, ran="W8A8-FP8") for model in ("smol", "gemma") for name in ("w8a8-fp8", "fp8-online")
        ]
        assert headings(*squares) == [("W8A8-FP8", "w8a8-fp8"), ("W8A8-FP8", "fp8-online")] * 2

    def test_what_has_not_run_waits_in_the_column_of_its_namesake(self):
        # Its checkpoint says BF16: what will run is known from the other model's copy.
        waiting = square("gemma", "fp8-online", form="BF16")
        assert headings(square("smol", "fp8-online", ran="W8A8-FP8"), waiting) == [("W8A8-FP8", "")] * 2

    def test_a_format_that_nothing_states_is_called_by_its_run(self):
        assert headings(square("smol", "fp8-online")) == [("fp8-online", "")]


def test_no_two_of_forty_formats_look_alike():
    looks = looks_of([f"format {n}" for n in range(40)])
    assert len(set(looks.values())) == 40
    assert len(set(COLORS)) == 8


def test_the_color_changes_at_the_margin():
    within, beyond = tint(0.007, 0.05), tint(0.09, 0.05)
    assert within.startswith("rgba(0, 114, 178")
    assert beyond.startswith("rgba(213, 94, 0")
    assert tint(0.05, 0.05).endswith("0.000)")
    assert tint(0.2, None) == tint(None, 0.2) == ""


class TestLive:
    @pytest.fixture
    def running(self, store):
        """A store while its study generates the third candidate."""
        study = read_study(store / "studies" / "h100-recordings")
        [first, second, third, fourth] = study.cells
        for cell in (second, third, fourth):
            shutil.rmtree(store / "comparisons" / cell.comparison)
        cells = [first, *(cell.replace(comparison=None) for cell in (second, third, fourth))]
        write_study(store, study.replace(cells=tuple(cells)))
        runs = (
            RunState(family=first.family, name=second.candidate, done=64, total=64),
            RunState(family=first.family, name=third.candidate, done=40, total=64),
        )
        state = StudyState(
            updated="2026-11-28T19:00:00+00:00", family=first.family, runs=runs, finished=3, total=6, seconds_left=240.0
        )
        write_state(store, study.name, state)
        return store

    def test_a_running_study_shows_its_grid(self, opened, running):
        app = opened(running)
        words = {form: (cell["word"], cell["text"]) for (_, form), cell in matrix(app).items()}
        assert words == {
            "BF16": ("? inconclusive", "-0.018"),
            "W8A8-FP8": ("to be scored", ""),
            "W8A8-INT8": ("generating", "40 of 64"),
            "W4A16-INT4 g64": ("waiting", ""),
        }
        assert "1 of 4 cells done; 3 of 6 runs generated, about 4 min left" in page_text(app)

    def test_a_study_before_its_first_comparison_does_too(self, opened, running):
        study = read_study(running / "studies" / "h100-recordings")
        shutil.rmtree(running / "comparisons")
        write_study(running, study.replace(cells=tuple(cell.replace(comparison=None) for cell in study.cells)))
        assert [cell["word"] for cell in matrix(opened(running)).values()].count("waiting") == 2


class TestAnswer:
    def test_what_to_ship_comes_first(self, opened, recorded):
        shown = page_text(opened(recorded))
        assert shown.index("Nothing can be shipped yet") < shown.index("f-table")
        assert "W8A8-FP8, W8A8-INT8 and W4A16-INT4 g64 fail on rougeL." in shown

    def test_without_a_gate_nothing_is_judged_and_all_is_hatched(self, opened, store):
        shutil.rmtree(store / "studies")
        app = opened(store)
        assert "No gate was given" in page_text(app)
        assert all(cell["hatched"] and not cell["word"] for cell in matrix(app).values())

    def test_a_comparison_without_a_floor_is_no_reason_for_an_error(self, opened, workspace):
        rows = [{"id": f"q{n}", "prompt": "x", "text": f"one two {n}"} for n in range(5)]
        base = workspace.recorded("base", rows, control="none")
        quant = workspace.recorded("quant", [{**row, "text": "one three"} for row in rows])
        compared(workspace.store, base, quant, metrics=["identical", "rouge"])
        [cell] = matrix(opened(workspace.store)).values()
        assert cell["note"] == "no floor"

    def test_published_values_are_beside_ones_own_and_never_instead(self, opened, recorded):
        app = opened(recorded, metric="rougeL", published="true")
        assert "Kurtic" in page_text(app)
        assert len(matrix(app)) == 4
