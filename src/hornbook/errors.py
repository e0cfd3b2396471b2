"""What hornbook raises for what a user can mend."""

# By name, for the library that speaks HTTP for the hub's clients is another from version to version.
_NO_CONNECTION = {"ConnectionError", "TimeoutError", "TransportError", "LocalEntryNotFoundError"}


class HornbookError(Exception):
    """Something in the user's input is wrong: says in one line what, where, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


class TrainingError(HornbookError):
    """A training that came to nothing, and would again with the same settings."""


class DiskFull(HornbookError):  # noqa: N818 - the input has no error
    """There is no room on a disk for what is written; nothing that was finished is lost."""


class Unreachable(HornbookError):  # noqa: N818 - the recipe has no error
    """The hub could not be asked, and what was wanted of it is not in its cache on this machine."""


def is_out_of_reach(error: BaseException) -> bool:
    """Return whether what a client of the hub raised means that the hub could not be asked.

    The clients raise one thing from another: what the connection said stands somewhere among the causes.
    """
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return True
    cause: BaseException | None = error
    while cause is not None:
        if _NO_CONNECTION & {kind.__name__ for kind in type(cause).__mro__}:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
