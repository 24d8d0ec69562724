"""A worker of pytest-xdist that ends in the middle of a test costs that test, and nothing else."""

from types import SimpleNamespace

import pytest

pytest.importorskip("xdist")

from tests.scheduling import GroupScheduling

TESTS = [f"{file}.py::test_{n}@{file}" for file in "abcdefgh" for n in range(3)] + [
    "i.py::test_alone",
    "j.py::test_alone",
]


class Worker:
    """Runs what it is sent, as a worker of xdist does: each test once another one or the end is known."""

    def __init__(self, scheduling):
        self.scheduling, self.queue, self.shutting_down = scheduling, [], False
        self.gateway = SimpleNamespace(id=id(self))
        scheduling.add_node(self)

    def collect(self):
        self.scheduling.add_node_collection(self, TESTS)
        if self.scheduling.collection_is_completed:
            self.scheduling.schedule()

    def send_runtest_some(self, indices):
        self.queue += indices

    def shutdown(self):
        self.shutting_down = True

    @property
    def can_run(self):
        return len(self.queue) > (not self.shutting_down)

    def run(self):
        test = self.queue.pop(0)
        self.scheduling.mark_test_complete(self, test)
        return TESTS[test]


def scheduling_of(count):
    config = SimpleNamespace(getvalue=lambda name: [f"{count}*popen"], option=SimpleNamespace(loadscopereorder=False))
    return GroupScheduling(config)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("crashes_after", [[0], [5], [22], [25], [5, 6], [0, 12, 22]])
def test_after_crashes_every_other_test_has_run_once(count, crashes_after):
    scheduling = scheduling_of(count)
    workers = [Worker(scheduling) for _ in range(count)]
    for worker in workers:
        worker.collect()
    collecting, crashed, ran = [], [], []
    while ready := [worker for worker in workers if worker.can_run]:
        if len(ran) in crashes_after[len(crashed) :]:
            workers.remove(ready[0])
            crashed.append(scheduling.remove_node(ready[0]))
            collecting.append(Worker(scheduling))
        else:
            ran.append(ready[-1].run())
        if collecting and (len(ran) % 3 == 0 or not any(worker.can_run for worker in workers)):  # which takes its time
            workers.append(collecting.pop())
            workers[-1].collect()
        if scheduling.tests_finished:
            for worker in workers:
                worker.shutdown()
    assert len(crashed) == len(crashes_after)
    assert sorted([*ran, *crashed]) == sorted(TESTS)
