"""A pytest plugin: the tests that took the most processor time, which other work on the machine changes little.

Run with `-p tests.processor_time`. The time is that of the process and of its children that ended meanwhile.
"""

import os
from collections import Counter

import pytest

SHOWN = 30
_before = [0.0]


def _processor_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def pytest_runtest_logstart():
    _before[0] = _processor_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    now = _processor_seconds()
    report.processor_s, _before[0] = now - _before[0], now  # xdist sends a report's attributes along
    return report


def pytest_terminal_summary(terminalreporter):
    seconds = Counter()
    for report in (one for reports in terminalreporter.stats.values() for one in reports):
        seconds[getattr(report, "nodeid", "")] += getattr(report, "processor_s", 0.0)
    terminalreporter.section(f"{sum(seconds.values()):.0f} s of processor time")
    for test, taken in seconds.most_common(SHOWN):
        terminalreporter.line(f"{taken:7.1f} {test}")
