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

from hornbook.errors import HornbookError, one_line
from hornbook.retrieval import LOCAL, Executor
from hornbook.retrieval.executor import Item, Result

# How often Ray repeats a part whose worker died.
ATTEMPTS = 2
# Results that are joined on the cluster; the calling machine merges the joined ones.
JOIN_SIZE = 8
# Parts in flight for each core.
AHEAD = 4
_PATIENCE_SECONDS = 10


class Cluster:
    """A map over parts of a corpus on the nodes of a Ray cluster; a context manager that leaves the cluster.

    Args:
        address: of a running cluster as Ray writes it, HOST:PORT or ray://HOST:PORT; `auto` for the cluster of this
            machine, `local` to start one here. The connection is made at first use.

    Raises:
        HornbookError: Ray is not installed.
    """

    threads = 1
    join_size = JOIN_SIZE
    keep_open = 0

    def __init__(self, address: str) -> None:
        # A worker that runs out of memory fails at once: by default Ray repeats it beside the same other workers,
        # without end. Ray reads both variables when it is loaded.
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
        """Connect to the cluster, or keep the connection that this process has.

        Raises:
            HornbookError: no cluster answers at this address.
        """
        if self._ray.is_initialized():
            return
        own = {"include_dashboard": False} if self.address == "local" else {}
        try:
            self.check_reachable()
            self._ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **own)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            said = one_line(error, 200)
            raise HornbookError(
                f"{self.address}: no Ray cluster answers here ({said}); "
                "start one with `ray start --head`, or use --cluster local"
            ) from None
        self._connected = True

    def check_reachable(self) -> None:
        """Refuse an address that does not answer: Ray would try for minutes and then end this process.

        Raises:
            OSError: nothing answers there.
            ValueError: the address has no valid port.
        """
        host, colon, port = self.address.removeprefix("ray://").rpartition(":")
        if colon:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_SECONDS):
                pass

    @property
    def parallelism(self) -> int:
        """The number of CPU cores in the cluster."""
        self.connect()
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    def __call__(
        self,
        work: Callable[[Any], Callable[[Item], Result]],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Compute `work(shared)(item)` for each item on the nodes of the cluster.

        Args:
            work: takes `shared` and returns a function of one item.
            shared: sent to each node once.
            items: what the function is called with.
            join: takes `shared` and the results of `join_size` items, and returns one result for all of them.

        Yields:
            one result for each item, in the order of the items; with `join`, one for each `join_size` items.

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
        """Call a function with each item, side by side on the nodes of the cluster.

        Each call has a GPU to itself; on a cluster without GPUs, a core. If its worker dies, another one repeats it.

        Args:
            function: runs in the folder of this process, which every node must see.
            items: what it is called with.

        Yields:
            the number of an item and the result, or the error it raised, in the order in which they finish.
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
            said = one_line(cause, 200)
            return HornbookError(f"its worker on the cluster failed ({type(cause).__name__}: {said})")


@contextmanager
def executor_on(address: str | None) -> Iterator[Executor]:
    """Yield an executor on the cluster at this address; on this machine if the address is None."""
    if address is None:
        yield LOCAL
        return
    with Cluster(address) as cluster:
        yield cluster


# Some items, the Ray reference to each result, and the reference to the joined result.
_Started = tuple[Sequence[Any], list[Any], Any]


class _Work:
    """One map over items: starts Ray tasks and waits for their results."""

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
        # The worker of an item or of the join died: join here.
        assert self._join is not None
        return self._join(self._given, [self._single(item, one) for item, one in zip(items, found, strict=True)])

    def _single(self, item: Any, found: Any) -> Any:
        try:
            return self._ray.get(found)
        except self._ray.exceptions.RayError as error:
            return self._alone(item, error)

    def _alone(self, item: Any, error: Exception) -> Any:
        """Repeat an item with all cores of a node to itself, if its worker may have run out of memory."""
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
        """Raise the error of the work itself, unless memory ran out."""
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
