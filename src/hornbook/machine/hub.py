"""The hub, when it cannot be asked: found out once in a process, and soon.

The hub's clients try every file of every name several times, with growing waits. So before the first look-up the hub
is asked for anything at all. Where it says nothing the process goes on as with HF_HUB_OFFLINE=1: what is in the cache
is used, and what is not is out of reach at once.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from hornbook.errors import Unreachable

# By name, for the library that speaks HTTP for the hub's clients is another from version to version.
_NO_CONNECTION = {"ConnectionError", "TimeoutError", "TransportError", "LocalEntryNotFoundError"}
_PATIENT_SECONDS, _BRIEF_SECONDS, _SILENT_SECONDS = 30.0, 5.0, 2.0

logger = logging.getLogger("hornbook")


@dataclass
class _Known:
    """What this process knows of the hub.

    Attributes:
        answers: whether it has answered.
        silence: what was wrong when it did not.
        missed: what is told of names that could not be asked.
        patience: how long it has for its first answer (seconds).
    """

    answers: bool = False
    silence: str | None = None
    missed: dict[tuple[str, str, str], str] = field(default_factory=dict)
    patience: float = _PATIENT_SECONDS


_known = _Known()


@contextmanager
def briefly() -> Iterator[None]:
    """Give the hub five seconds for its first answer, for a plan or a check; a run has more patience."""
    before, _known.patience = _known.patience, _BRIEF_SECONDS
    try:
        yield
    finally:
        _known.patience = before


@contextmanager
def asking(kind: str, name: str, part: str = "") -> Iterator[None]:
    """Look something up on the hub; what could not be asked is not asked again in this process.

    Args:
        kind: of what is looked up: "models" or "datasets".
        name: its name on the hub.
        part: what of it is wanted, where that can be out of reach by itself.

    Raises:
        Unreachable: it was out of reach before.
    """
    wanted = kind, name, part
    if wanted in _known.missed:
        raise Unreachable(_known.missed[wanted])
    _knock(f"api/{kind}/{name}")
    try:
        yield
    except Unreachable as error:
        if _known.answers:  # offline it takes no time to find out again
            _known.missed[wanted] = str(error)
        raise


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
        status = getattr(getattr(cause, "response", None), "status_code", 0)
        if _is_error(status):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def why_not() -> str:
    """Say why the hub is not asked, or gave nothing."""
    from huggingface_hub import is_offline_mode

    return _known.silence or ("HF_HUB_OFFLINE is set" if is_offline_mode() else "the hub did not give them")


def remedy() -> str:
    """Say what helps where the hub is not asked."""
    return f"try again when the hub can be reached ({_known.silence})" if _known.silence else "unset HF_HUB_OFFLINE"


def _knock(path: str) -> None:
    """Find out whether the hub answers; where it does not, keep its clients from trying."""
    from huggingface_hub import constants, is_offline_mode

    if _known.answers or is_offline_mode():
        return
    heard: list[str | None] = []  # what is wrong

    def ask() -> None:
        from huggingface_hub import get_session

        try:
            heard.append(_wrong(get_session().head(f"{constants.ENDPOINT}/{path}", timeout=_known.patience)))
        except Exception as error:  # the HTTP library's own
            said = " ".join(str(error).split())[:100]
            silent = f"within {_known.patience:.0f} s" if "timed out" in said else f"({said})"
            heard.append(f"does not answer {silent}" if is_out_of_reach(error) else None)

    # In a thread: looking up the name of a machine, without a network, knows no time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(min(_known.patience, _SILENT_SECONDS))
    if thread.is_alive():
        logger.info("waiting for %s to answer, %.0f s at most", constants.ENDPOINT, _known.patience)
        thread.join(_known.patience - _SILENT_SECONDS)
    wrong = heard[0] if heard else f"does not answer within {_known.patience:.0f} s"
    if wrong is None:
        _known.answers = True
        return
    _known.silence = f"{constants.ENDPOINT} {wrong}"
    # Both read the variable HF_HUB_OFFLINE when they are imported.
    for library in filter(None, map(sys.modules.get, ("huggingface_hub.constants", "datasets.config"))):
        vars(library)["HF_HUB_OFFLINE"] = True


def _wrong(answer: Any) -> str | None:
    """Return what is wrong with an answer to the first question, None where it is the hub's: a refusal, perhaps."""
    if _is_error(answer.status_code):
        return f"answers with the error {answer.status_code}"
    if answer.status_code == HTTPStatus.OK and "html" in answer.headers.get("content-type", ""):
        return "answers with a web page: does this network want a login first?"
    return None


def _is_error(status: int) -> bool:
    """Return whether a server says that it cannot answer now, whatever it was asked."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
