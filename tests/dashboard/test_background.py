"""Computations in the background."""

import threading

from fidelity.dashboard.background import Worker, drawing


def test_a_worker_that_waits_for_pages_begins_when_they_are_drawn():
    begun = threading.Event()
    with drawing(), drawing():
        Worker(waits_for_pages=True).ask("columns", begun.set)
        assert Worker().ask("verdict", lambda: "pass").result(timeout=10) == "pass"
        assert not begun.wait(0.2)
    assert begun.wait(10)


def test_a_page_waits_for_nothing_that_it_needs_now():
    with drawing():
        assert Worker(waits_for_pages=True).now("columns", lambda: 1) == 1
