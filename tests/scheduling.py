"""Which worker of pytest-xdist runs which tests: those of a group together, and all of them after a crash."""

from xdist.scheduler import LoadGroupScheduling


class GroupScheduling(LoadGroupScheduling):
    """xdist's own, without its deadlocks after the crash of a worker.

    xdist 3.8 hands out a dead worker's finished groups again, as empty work after which nothing else is handed out
    (pytest-xdist issues 1323 and 1378), gives its successor a single test, which waits for another one (1327), and
    starts the test that ended it once more (1371). The first three are fixed in xdist, and not released yet.
    """

    def remove_node(self, node):
        """Return the test at which a worker ended, if any, and hand the rest of its work to others."""
        groups = self.assigned_work.pop(node)
        crashed = next((test for tests in groups.values() for test, done in tests.items() if not done), None)
        if crashed is None:
            return None
        for tests in groups.values():
            if crashed in tests:
                tests[crashed] = True
        self.workqueue.update({group: tests for group, tests in groups.items() if not all(tests.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node):
        if node not in self.registered_collections:  # it is still collecting (1189)
            return
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)
