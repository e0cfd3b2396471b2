"""Tables of named things that other packages can extend: objectives, textbook kinds.

Each thing is found by its name in one of three places: the table in hornbook's own source, `register` in a running
program, or an entry point of an installed package. What the table and entry points name is imported when it is first
looked up, so listing the names imports nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from hornbook.errors import HornbookError, nearest, one_line

T = TypeVar("T")


class Registry(Generic[T]):
    """A table from names to things, which `register` and installed packages extend.

    Args:
        kind: what one of the things is called in messages, such as "objective".
        group: the entry-point group in which installed packages name theirs.
        builtin: hornbook's own things by name, each as "module:attribute".
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._builtin = {name: EntryPoint(name, where, group) for name, where in builtin.items()}
        self._loaded: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Add a thing under a name, in place of an earlier registered one.

        Args:
            name: the name that recipes use.

        Returns:
            a decorator that adds what it decorates, and returns it unchanged.

        Raises:
            HornbookError: hornbook itself has a thing of this name.
        """
        if name in self._builtin:
            raise HornbookError(f"{self.kind} {name!r}: hornbook has one of this name; choose another name")

        def add(thing: T) -> T:
            self._loaded[name] = thing
            return thing

        return add

    def __getitem__(self, name: str) -> T:
        """Return a thing by its name.

        Args:
            name: the name that recipes use.

        Returns:
            the thing; imported at the first look-up.

        Raises:
            HornbookError: the name is unknown, or the package that provides the thing cannot be imported.
        """
        if name not in self._loaded:
            if name not in self:
                raise HornbookError(self.unknown(name))
            self._loaded[name] = self._load(self._builtin.get(name) or self._installed[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is a thing of this name, without importing it."""
        return name in self._loaded or name in self._builtin or name in self._installed

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, hornbook's own first, then the others in alphabetical order."""
        others = (self._loaded.keys() | self._installed.keys()) - self._builtin.keys()
        return iter([*self._builtin, *sorted(others)])

    def __len__(self) -> int:
        """Return the number of names."""
        return len(list(iter(self)))

    def unknown(self, name: str) -> str:
        """Return the message that there is no such name, with the nearest one."""
        near = nearest(name, self)
        return f"there is no {self.kind} {name!r}; the nearest is {near!r} of {', '.join(self)}"

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        """The entry points of installed packages by name; hornbook's own names are looked up before this scan."""
        return {point.name: point for point in entry_points(group=self.group)}

    def _load(self, point: EntryPoint) -> T:
        try:
            return point.load()  # type: ignore[no-any-return]
        except Exception as error:  # another package's own code raises anything
            if point.name in self._builtin:
                raise
            reason = one_line(error)
            raise HornbookError(
                f"{self.kind} {point.name!r}: {point.value} cannot be imported ({type(error).__name__}: {reason}); "
                f"repair or uninstall the package that names it in its entry points {self.group}"
            ) from None
