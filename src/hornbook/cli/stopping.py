"""Stop on Ctrl-C and SIGTERM: quickly, with one line and no traceback."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_SECONDS = 4.0


class Stopped(KeyboardInterrupt):
    """The process received Ctrl-C or SIGTERM.

    Args:
        number: the number of the signal.

    Attributes:
        code: its exit code, by the shell's convention: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


@contextmanager
def stops(say: Callable[[], None]) -> Iterator[None]:
    """Raise `Stopped` in the main thread at the first Ctrl-C or SIGTERM; ignore further ones.

    If the process is still alive after 4 seconds (a library waits, an exception was swallowed), it is ended after
    `say()`. Artefacts cannot be half-written, see `hornbook.store`.

    Args:
        say: prints that the process stops; called once.
    """

    stopped: list[Stopped] = []
    announced = threading.Event()

    def say_once() -> None:
        if not announced.is_set():
            announced.set()
            say()

    def cut_off() -> None:
        say_once()
        os._exit(stopped[0].code)

    timer = threading.Timer(_PATIENCE_SECONDS, cut_off)
    timer.daemon = True

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        sys.unraisablehook = lambda _: None  # do not print a Stopped that is raised inside a callback
        stopped.append(Stopped(number))
        timer.start()
        raise stopped[0]

    # torchrun sends SIGTERM while its processes wait for each other outside Python, where nothing can be raised.
    signals: tuple[signal.Signals, ...] = _SIGNALS[:1] if "RANK" in os.environ else _SIGNALS
    if threading.current_thread() is not threading.main_thread():
        signals = ()  # only the main thread receives signals
    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    except BaseException:
        if stopped:  # whatever exception arrives here; signals stay ignored while the process ends
            say_once()
            raise stopped[0] from None
        raise
    finally:
        if not announced.is_set():
            timer.cancel()
            for each, handler in before.items():
                signal.signal(each, handler)
