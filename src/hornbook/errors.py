"""What hornbook raises for what a user can mend."""


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
