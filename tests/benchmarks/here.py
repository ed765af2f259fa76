"""A stand-in for `benchmarks.apart.Apart`."""

from benchmarks.contest import clocked


class Here:
    """As `Apart`, in this process, which is sooner there."""

    def __init__(self, prepare):
        self._prepare = prepare

    def prepare(self, task):
        work, facts = self._prepare(task)
        self.turn = clocked(work)
        return facts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
