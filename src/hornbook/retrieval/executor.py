"""Where parts of a corpus are searched: one after another in this process, or on a cluster (`hornbook.cluster`)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """A map over parts of a corpus.

    Attributes:
        parallelism: parts that run at the same time.
        threads: threads per part; None for as many as the caller asks for.
        join_size: number of results that are joined where they were computed, before they are sent here.
        keep_open: how many of the first shards stay open from call to call.
    """

    @property
    def parallelism(self) -> int: ...  # noqa: D102
    @property
    def threads(self) -> int | None: ...  # noqa: D102
    @property
    def join_size(self) -> int: ...  # noqa: D102
    @property
    def keep_open(self) -> int: ...  # noqa: D102

    def __call__(
        self,
        work: Callable[[Any], Callable[[Item], Result]],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `work(shared)(item)` for each item, in order.

        With `join`, every `join_size` neighbours are yielded as one: `join(shared, results)`.
        """


class LocalExecutor:
    """Runs the parts one after another in this process."""

    parallelism = join_size = 1
    threads = None
    keep_open = 12  # about 50 MB each, memory-mapped

    def __call__(
        self,
        work: Callable[[Any], Callable[[Item], Result]],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `work(shared)(item)` for each item; all items share the state of one `work(shared)`."""
        return map(work(shared), items)


LOCAL = LocalExecutor()
