"""Detect that the model hub cannot be reached: once per process, within seconds.

The hub's clients retry every file of every name several times, with growing waits. So the first look-up is preceded
by one request. If that fails, the process goes on as with HF_HUB_OFFLINE=1: files in the cache are used, and all
others fail at once.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from hornbook.errors import Unreachable, one_line

# By name: which HTTP library the hub's clients use depends on their version.
_NO_CONNECTION = {"ConnectionError", "TimeoutError", "TransportError", "LocalEntryNotFoundError"}
_PATIENT_SECONDS, _BRIEF_SECONDS, _SILENT_SECONDS = 30.0, 5.0, 2.0

logger = logging.getLogger("hornbook")


@dataclass
class _Known:
    """What this process knows about the hub.

    Attributes:
        answers: whether it has answered.
        silence: what was wrong if it has not.
        missed: the error message of each look-up that failed.
        patience: time limit of the first answer (seconds).
    """

    answers: bool = False
    silence: str | None = None
    missed: dict[tuple[str, str, str], str] = field(default_factory=dict)
    patience: float = _PATIENT_SECONDS


_known = _Known()


@contextmanager
def briefly() -> Iterator[None]:
    """Give the hub five seconds for its first answer instead of thirty: for plans and checks."""
    before, _known.patience = _known.patience, _BRIEF_SECONDS
    try:
        yield
    finally:
        _known.patience = before


@contextmanager
def asking(kind: str, name: str, part: str = "") -> Iterator[None]:
    """Look something up on the hub; a look-up that failed is not repeated in this process.

    Args:
        kind: "models" or "datasets".
        name: the name on the hub.
        part: the part of it to look up, if parts can be unreachable by themselves.

    Raises:
        Unreachable: this look-up failed before.
    """
    lookup = kind, name, part
    if lookup in _known.missed:
        raise Unreachable(_known.missed[lookup])
    _check_hub(f"api/{kind}/{name}")
    try:
        yield
    except Unreachable as error:
        if _known.answers:  # a retry takes no time offline
            _known.missed[lookup] = str(error)
        raise


def is_out_of_reach(error: BaseException) -> bool:
    """Return whether an error of the hub's clients means that the hub could not be reached.

    Args:
        error: the error; that of the connection may be any of its causes.

    Returns:
        true also if HF_HUB_OFFLINE is set.
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


def answers() -> bool:
    """Return whether the hub has answered this process."""
    return _known.answers


def why_not() -> str:
    """Return why the hub is not used, or did not answer."""
    from huggingface_hub import is_offline_mode

    return _known.silence or ("HF_HUB_OFFLINE is set" if is_offline_mode() else "the hub did not give them")


def remedy() -> str:
    """Return what to do if the hub is not used."""
    return f"try again when the hub can be reached ({_known.silence})" if _known.silence else "unset HF_HUB_OFFLINE"


def _check_hub(path: str) -> None:
    """Find out whether the hub answers; if not, switch its clients to offline mode."""
    from huggingface_hub import constants, is_offline_mode

    if _known.answers or is_offline_mode():
        return
    answers: list[str | None] = []  # what is wrong with the answer, if anything

    def ask() -> None:
        from huggingface_hub import get_session

        try:
            answers.append(_wrong(get_session().head(f"{constants.ENDPOINT}/{path}", timeout=_known.patience)))
        except Exception as error:  # the HTTP library's own
            text = one_line(error, 100)
            silent = f"within {_known.patience:.0f} s" if "timed out" in text else f"({text})"
            answers.append(f"does not answer {silent}" if is_out_of_reach(error) else None)

    # In a thread: resolving a host name without a network has no time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(min(_known.patience, _SILENT_SECONDS))
    if thread.is_alive():
        logger.info("waiting for %s to answer, %.0f s at most", constants.ENDPOINT, _known.patience)
        thread.join(_known.patience - _SILENT_SECONDS)
    wrong = answers[0] if answers else f"does not answer within {_known.patience:.0f} s"
    if wrong is None:
        _known.answers = True
        return
    _known.silence = f"{constants.ENDPOINT} {wrong}"
    # Both read HF_HUB_OFFLINE when they are imported.
    for library in filter(None, map(sys.modules.get, ("huggingface_hub.constants", "datasets.config"))):
        vars(library)["HF_HUB_OFFLINE"] = True


def _wrong(answer: Any) -> str | None:
    """Return what is wrong with the first answer; None if it comes from the hub, even as a refusal."""
    if _is_error(answer.status_code):
        return f"answers with the error {answer.status_code}"
    if answer.status_code == HTTPStatus.OK and "html" in answer.headers.get("content-type", ""):
        return "answers with a web page: does this network want a login first?"
    return None


def _is_error(status: int) -> bool:
    """Return whether a status means that the server cannot answer anything now."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
