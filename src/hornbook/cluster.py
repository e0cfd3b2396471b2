"""The same work on many machines: a map over the parts of a corpus on a Ray cluster, and cells of an experiment.

A part takes one core of any node: it is read and searched by one thread, so that a cluster of n cores works on n
parts at once. What all parts share (the queries) is sent once to each node.

A part whose node or worker dies is taken up by another one, as often as `ATTEMPTS` says. Where that does not help, or
its worker ran out of memory, it is tried once more with all cores of a node, so with nothing else of ours beside it;
what dies then too is named.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hornbook.errors import HornbookError
from hornbook.retrieval import LOCAL, Executor
from hornbook.retrieval.executor import Item, Result

# How often Ray gives a part to another worker when one died.
ATTEMPTS = 2
# Results that are joined to one where they were found; the rest is merged on the machine that asked.
JOIN_SIZE = 8
# Parts that are on their way for each core: what is finished early waits for at most this many others.
AHEAD = 4
_PATIENCE_SECONDS = 10


class Cluster:
    """A map over parts of a corpus on the nodes of a Ray cluster; a context manager that leaves the cluster.

    Args:
        address: of a running cluster as Ray writes it, HOST:PORT or ray://HOST:PORT; `auto` for the one this machine
            belongs to, `local` to start one here. The connection is made when it is first needed.

    Raises:
        HornbookError: Ray is not installed.
    """

    threads = 1
    join_size = JOIN_SIZE
    keep_open = 0

    def __init__(self, address: str) -> None:
        # A worker out of memory comes back to us at once: by default Ray would try it again beside the same others,
        # without end. Both are read when Ray is loaded.
        os.environ.setdefault("RAY_task_oom_retries", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray: Any = import_module("ray")
        except ImportError:
            message = "ray is not installed, which --cluster needs; pip install 'hornbook[ray]' on every node"
            raise HornbookError(message) from None
        self.address = address
        self._connected = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connected:
            self._ray.shutdown()
            self._connected = False

    def connect(self) -> None:
        """Connect to the cluster; where this process is connected to one already, that one is used.

        Raises:
            HornbookError: there is none at this address.
        """
        if self._ray.is_initialized():
            return
        own = {"include_dashboard": False} if self.address == "local" else {}
        try:
            self.check_reachable()
            self._ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **own)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())
            raise HornbookError(
                f"{self.address}: no Ray cluster answers here ({said[:200]}); "
                "start one with `ray start --head`, or say --cluster local"
            ) from None
        self._connected = True

    def check_reachable(self) -> None:
        """Refuse an address where nobody listens: Ray would try for minutes, and then end this process.

        Raises:
            OSError: nobody does.
            ValueError: it is not an address.
        """
        host, colon, port = self.address.removeprefix("ray://").rpartition(":")
        if colon:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_SECONDS):
                pass

    @property
    def parallelism(self) -> int:
        """How many cores the cluster has now."""
        self.connect()
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    def __call__(
        self,
        work: Callable[[Any], Callable[[Item], Result]],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `work(shared)(item)` for each item, in the order of the items; joined, those of each `JOIN_SIZE`.

        Raises:
            HornbookError: an item could not be finished on any node; or the work raises it.
        """
        most = AHEAD * self.parallelism
        tasks = _Work(self._ray, work, shared, join)
        size = self.join_size if join is not None else 1
        waiting, started = deque[_Started](), iter(range(0, len(items), size))
        for first in islice(started, -(-most // size)):
            waiting.append(tasks.start(items[first : first + size]))
        while waiting:
            yield tasks.result(waiting.popleft())
            waiting.extend(tasks.start(items[first : first + size]) for first in islice(started, 1))

    def side_by_side(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result | HornbookError]]:
        """Yield the number of each item and `function(item)`, or the error it raised, as they are finished.

        Each has a GPU to itself, on a cluster without any a core. One whose worker dies is given to another.

        Args:
            function: runs in the folder of this process, which every node must see.
            items: what it is called with.
        """
        self.connect()
        needs = {"num_gpus": 1} if self._ray.cluster_resources().get("GPU", 0) else {"num_cpus": 1}
        task = self._ray.remote(**needs, max_retries=ATTEMPTS)(_there)
        here = str(Path.cwd())
        waiting = {task.remote(_version(), here, function, item): number for number, item in enumerate(items)}
        while waiting:
            (done, *_), _ = self._ray.wait(list(waiting))
            yield waiting.pop(done), self._came(done)

    def _came(self, done: Any) -> Any:
        try:
            return self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            cause: BaseException = error
            while isinstance(cause, self._ray.exceptions.RayTaskError):
                cause = cause.cause
            if isinstance(cause, HornbookError):
                return cause
            said = " ".join(str(cause).split())
            return HornbookError(f"its worker on the cluster failed ({type(cause).__name__}: {said[:200]})")


@contextmanager
def executor_on(address: str | None) -> Iterator[Executor]:
    """Yield the map over parts of a corpus on the cluster at this address, or on this machine where there is none."""
    if address is None:
        yield LOCAL
        return
    with Cluster(address) as cluster:
        yield cluster


# Some items, what becomes of each, and what becomes of them together.
_Started = tuple[Sequence[Any], list[Any], Any]


class _Work:
    """One map: what all its items share, and how they are started and waited for."""

    def __init__(
        self,
        ray: Any,
        work: Callable[[Any], Callable[[Any], Any]],
        shared: Any,
        join: Callable[[Any, Sequence[Any]], Any] | None,
    ) -> None:
        self._ray, self._work, self._given, self._join = ray, work, shared, join
        self._shared = ray.put(shared)
        self._one = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(_one)
        self._several = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(_several)

    def start(self, items: Sequence[Any]) -> _Started:
        found = [self._one.remote(_version(), self._work, self._shared, item) for item in items]
        if self._join is None or len(found) == 1:
            return items, found, found[0]
        return items, found, self._several.remote(self._join, self._shared, *found)

    def result(self, started: _Started) -> Any:
        items, found, together = started
        if len(items) == 1:
            return self._single(items[0], together)
        try:
            return self._ray.get(together)
        except self._ray.exceptions.RayError:
            pass
        # One of them, or what should join them, died: then it is done here.
        assert self._join is not None
        return self._join(self._given, [self._single(item, one) for item, one in zip(items, found, strict=True)])

    def _single(self, item: Any, found: Any) -> Any:
        try:
            return self._ray.get(found)
        except self._ray.exceptions.RayError as error:
            return self._alone(item, error)

    def _alone(self, item: Any, error: Exception) -> Any:
        """Try an item again with all cores of a node, if it may have failed for lack of memory."""
        self._refuse(error)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cores = max((resources.get("CPU", 0) for resources in nodes), default=1)
        task = self._one.options(num_cpus=cores, max_retries=1)
        try:
            return self._ray.get(task.remote(_version(), self._work, self._shared, item))
        except self._ray.exceptions.RayError as again:
            self._refuse(again)
            raise HornbookError(
                f"{_name(item)}: its worker died again, alone on a node ({type(again).__name__}); where memory "
                "ran out, take nodes with more of it, fewer anchors or a lower k, or build the corpus with fewer "
                "units in a shard"
            ) from None

    def _refuse(self, error: Exception) -> None:
        """Raise what the work itself raised, unless memory ran out."""
        cause: BaseException | None = error
        while isinstance(cause, self._ray.exceptions.RayTaskError):
            cause = cause.cause
        if isinstance(cause, HornbookError | OSError):
            raise cause from None
        if isinstance(cause, ImportError):
            message = f"a node of the cluster cannot load what it needs ({cause}); install hornbook on all nodes"
            raise HornbookError(message) from None
        if not isinstance(cause, MemoryError | self._ray.exceptions.RayError):
            raise error


def _version() -> str:
    return version("hornbook")


def _one(asked: str, work: Callable[[Any], Callable[[Any], Any]], shared: Any, item: Any) -> Any:
    _refuse_other_version(asked)
    return work(shared)(item)


def _there(asked: str, folder: str, function: Callable[[Any], Any], item: Any) -> Any:
    _refuse_other_version(asked)
    os.chdir(folder)
    return function(item)


def _refuse_other_version(asked: str) -> None:
    if asked != _version():
        raise HornbookError(
            f"a node of the cluster has hornbook {_version()}, but {asked} asks; install the same on all nodes"
        )


def _several(join: Callable[[Any, Sequence[Any]], Any], shared: Any, *found: Any) -> Any:
    return join(shared, found)


def _name(item: Any) -> str:
    """Return the name of a shard, or of those that are a part together."""
    parts = [item] if hasattr(item, "name") else [shard for shard, _ in item]
    names = [part.name for part in parts]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
