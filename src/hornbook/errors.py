"""The errors that hornbook raises for what a user can fix, and helpers for their one-line messages."""

import difflib
from collections.abc import Iterable


class HornbookError(Exception):
    """The user's input is wrong. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class TrainingError(HornbookError):
    """A training failed and would fail again with the same settings."""


class DiskFull(HornbookError):  # noqa: N818 - the input has no error
    """A disk has no room for what is being written. Finished artefacts are not affected."""


class Unreachable(HornbookError):  # noqa: N818 - the recipe has no error
    """The hub cannot be reached, and the file needed from it is not in this machine's cache."""


def one_line(error: object, limit: int | None = None) -> str:
    """Return the text of an error (or of anything else) on one line.

    Args:
        error: its `str` is used; each run of white space becomes one space, and what a terminal would not print (its
            control characters, halves of surrogate pairs) is spelled as in Python.
        limit: maximum length in characters; longer text is cut in the middle.

    Returns:
        the line.
    """
    line = " ".join(str(error).split())
    if not line.isprintable():
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    if limit is None or len(line) <= limit:
        return line
    return f"{line[: limit - limit // 3 - 3]} … {line[len(line) - limit // 3 :]}"


def nearest(name: str, names: Iterable[str], cutoff: float = 0.0) -> str | None:
    """Return the name most similar to a misspelt one.

    Args:
        name: the unknown name.
        names: the known names.
        cutoff: minimum similarity, 0 to 1; 0.6 for "did you mean", 0 to name one in any case.

    Returns:
        the nearest name; None if there are no names, or none is similar enough.
    """
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)), None)
