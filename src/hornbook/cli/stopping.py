"""Ctrl-C and SIGTERM: one line, soon, and never a traceback."""

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
    """The process was asked to end.

    Attributes:
        code: its exit code, as a shell has it: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


@contextmanager
def stops(say: Callable[[], None]) -> Iterator[None]:
    """Raise `Stopped` in the main thread at the first Ctrl-C or SIGTERM; further ones are ignored.

    What does not end within 4 seconds then (a library that waits, an exception that is swallowed) is cut off, after
    `say()`. Nothing that looks finished can be half-written, see `hornbook.store`.
    """

    stopped: list[Stopped] = []
    said = threading.Event()

    def say_once() -> None:
        if not said.is_set():
            said.set()
            say()

    def cut_off() -> None:
        say_once()
        os._exit(stopped[0].code)

    timer = threading.Timer(_PATIENCE_SECONDS, cut_off)
    timer.daemon = True

    def stop(number: int, _: FrameType | None) -> NoReturn:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        sys.unraisablehook = lambda _: None  # raised in a callback (while a module is loaded, perhaps) it is printed
        stopped.append(Stopped(number))
        timer.start()
        raise stopped[0]

    # torchrun ends its processes with SIGTERM while they wait for each other outside Python: nothing would be raised.
    signals: tuple[signal.Signals, ...] = _SIGNALS[:1] if "RANK" in os.environ else _SIGNALS
    if threading.current_thread() is not threading.main_thread():
        signals = ()  # only the main thread is told of signals
    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    except BaseException:
        if stopped:  # whatever came of it on the way; the signals stay ignored while the process ends
            say_once()
            raise stopped[0] from None
        raise
    finally:
        if not said.is_set():
            timer.cancel()
            for each, handler in before.items():
                signal.signal(each, handler)
