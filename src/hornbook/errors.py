"""What hornbook raises for what a user can mend."""


class HornbookError(Exception):
    """Something in the user's input is wrong: says in one line what, where, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


class TrainingError(HornbookError):
    """A training that came to nothing, and would again with the same settings."""
