"""An ordered map over several processes that reads its input lazily."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from types import TracebackType
from typing import Self, TypeVar

from hornbook.errors import HornbookError
from hornbook.machine.load import cores

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_WATCH_SECONDS = 0.5

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Worker processes for `map`, started when there is more than one item. They end when this process ends, even if
    it is killed.

    Args:
        count: number of workers, by default one per core. With one, this process does the work.
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
            if error is not None:
                _kill(self._pool)
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order.

        Args:
            function: picklable, like the items and the results.
            items: read only as far ahead as the workers need.

        Raises:
            HornbookError: the system killed a worker.
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
            message = "the system ended a worker process, most often because memory ran out; free some and run again"
            raise HornbookError(message) from None


def _start(count: int) -> ProcessPoolExecutor:
    # Fork where that is safe, so that a script that calls a stage needs no `if __name__ == "__main__"`. It is not on
    # macOS, whose system libraries start threads, nor beside Ray: a fork inherits locks of threads, not the threads.
    ray = sys.modules.get("ray")
    can_fork = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
    forks = can_fork and not (ray and ray.is_initialized())
    method = "fork" if forks else "spawn"
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(count, context, initializer=end_with_parent, initargs=(os.getpid(),))


def _kill(pool: ProcessPoolExecutor) -> None:
    """Kill the workers without waiting for their results."""
    for worker in list((pool._processes or {}).values()):  # Python 3.14 has `kill_workers` for this
        worker.kill()


def end_with_parent(parent: int) -> None:
    """Make this child process end when process `parent` ends, even if that is killed.

    Ctrl-C reaches all processes of a terminal; only the parent handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
