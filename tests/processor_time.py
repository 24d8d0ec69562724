"""A pytest plugin: where the processor time of the tests goes, which other work on the machine changes little.

Run with `-p tests.processor_time`. The time is that of the process and of its children that ended meanwhile.
`PROCESSOR_TIME=FILE` writes the seconds of each test to a file as well.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

SHOWN = 30
COLLECTION = "(imports and collection)"
_before = [0.0]
_collection = Counter()


def _processor_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def pytest_collection_finish(session):
    if not session.config.pluginmanager.hasplugin("dsession"):  # the controller of pytest-xdist collects nothing
        _collection["main"] = _processor_seconds()


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["collection_s"] = _collection["main"]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    _collection[node.gateway.id] = getattr(node, "workeroutput", {}).get("collection_s", 0.0)


def pytest_runtest_logstart():
    _before[0] = _processor_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    now = _processor_seconds()
    report.processor_s, _before[0] = now - _before[0], now  # xdist sends a report's attributes along
    return report


def pytest_terminal_summary(terminalreporter):
    tests = Counter()
    for report in (one for reports in terminalreporter.stats.values() for one in reports):
        tests[getattr(report, "nodeid", "")] += getattr(report, "processor_s", 0.0)
    folders = Counter({COLLECTION: sum(_collection.values())})
    for test, seconds in tests.items():
        folders[_folder(test)] += seconds
    terminalreporter.section(f"{sum(folders.values()):.0f} s of processor time")
    for name, seconds in [*folders.most_common(), ("", 0.0), *tests.most_common(SHOWN)]:
        terminalreporter.line(f"{seconds:7.1f} {name}" if name else "")
    if path := os.environ.get("PROCESSOR_TIME"):
        Path(path).write_text(json.dumps({COLLECTION: folders[COLLECTION], **tests}, indent=0))


def _folder(test):
    """`tests/gate` for a test in a folder, else its file."""
    file = test.partition("::")[0]
    return "/".join(file.split("/")[:2])
