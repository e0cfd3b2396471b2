"""A map over several processes that keeps the order and never runs far ahead."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from types import TracebackType
from typing import Self, TypeVar

from hornbook.errors import HornbookError

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Processes for `map`, started when there is more than one thing to do.

    Args:
        count: how many; by default one a core. A single worker needs no process.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item, in the order of the items.

        Args:
            function: can be pickled, and so can items and results.
            items: read only as far ahead as the workers need.

        Raises:
            HornbookError: the system ended a worker.
        """
        items = iter(items)
        start = list(islice(items, 2))
        if self.count == 1 or len(start) < 2:
            yield from map(function, chain(start, items))
            return
        pool = self._pool = self._pool or _start(self.count)
        waiting: deque[Future[Result]] = deque()
        try:
            for item in chain(start, items):
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            message = "the system ended a worker process, most often for want of memory; free some and run again"
            raise HornbookError(message) from None


def _start(count: int) -> ProcessPoolExecutor:
    # Where it can be had, fork: a script that calls a stage needs no `if __name__ == "__main__"` then. Not where Ray
    # runs (a cell of an experiment on a cluster): a fork has none of its threads, but the locks that they hold.
    ray = sys.modules.get("ray")
    forks = "fork" in multiprocessing.get_all_start_methods() and not (ray and ray.is_initialized())
    method = "fork" if forks else "spawn"
    return ProcessPoolExecutor(count, multiprocessing.get_context(method))
