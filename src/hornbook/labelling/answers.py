"""The file of answers: a line for each answered call, added as soon as it is answered."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import xxhash
from filelock import FileLock, Timeout

from hornbook.errors import HornbookError
from hornbook.labelling.answer import Answer
from hornbook.recipe import LabelConfig
from hornbook.store import result_config

VERSION = 1  # of how answers are read
# They name the input, whose texts are in the key themselves; more samples do not change those that are there.
_NOT_IN_KEY = ("text", "text_pair", "bad_rows", "samples")
_BEGINS = b'{"key": "'
Known = dict[str, list[Answer]]


def key_of(prompt: str, text: str, pair: str | None, model: str, config: LabelConfig) -> str:
    """Return the key of a question.

    Args:
        prompt: the question, with the texts in their places.
        text: the text.
        pair: its second text.
        model: the name of the model.
        config: the settings.

    Returns:
        32 hexadecimal digits: equal for questions with the same answers, wherever the model is served.
    """
    settings = {name: value for name, value in result_config(config).items() if name not in _NOT_IN_KEY}
    identity = [VERSION, prompt, text, pair, model, settings]
    return xxhash.xxh3_128_hexdigest(json.dumps(identity, sort_keys=True).encode())


class AnswerFile:
    """The answers of this and earlier runs; made by `open_answers`.

    Args:
        file: the file, open for appending.
        known: the answers that it has, by key.
    """

    def __init__(self, file: IO[bytes], known: Known) -> None:
        self._file, self._known = file, known

    def of(self, key: str) -> Sequence[Answer]:
        """Return the answers to a question."""
        return self._known.get(key, ())

    def add(self, key: str, answer: Answer) -> None:
        """Add an answer: one write of a whole line, which outlives this process."""
        line = {"key": key, **{name: value for name, value in asdict(answer).items() if value is not None}}
        self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        self._known.setdefault(key, []).append(answer)


@contextmanager
def open_answers(path: Path) -> Iterator[AnswerFile]:
    """Open a file of answers, or begin one; a last line without its end, of a killed run, is dropped.

    Args:
        path: the file.

    Yields:
        the answers.

    Raises:
        HornbookError: it is something else, or another run is writing it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HornbookError(f"{path}: another run is adding answers to it; wait for it or stop it") from None
    try:
        known, size = read_answers(path) if path.exists() else ({}, 0)
        with path.open("ab") as file:
            file.truncate(size)
            yield AnswerFile(file, known)
            os.fsync(file.fileno())
    finally:
        lock.release()


def read_answers(path: Path) -> tuple[Known, int]:
    """Read a file of answers.

    Args:
        path: the file.

    Returns:
        the answers by key, in their order, and how many bytes are whole lines.

    Raises:
        HornbookError: a line is not an answer.
    """
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    known: Known = {}
    for number, line in enumerate(data[:size].splitlines(), 1):
        try:
            key, answer = _read(json.loads(line))
        except (ValueError, TypeError, KeyError):
            raise HornbookError(
                f"{path}: line {number} is not an answer of hornbook label; name another file with --answers"
            ) from None
        known.setdefault(key, []).append(answer)
    if not _BEGINS.startswith(data[size:][: len(_BEGINS)]):
        raise HornbookError(f"{path}: is not a file of answers; name another file with --answers")
    return known, size


def _read(line: Mapping[str, object]) -> tuple[str, Answer]:
    values = dict(line)
    key = values.pop("key")
    if not isinstance(key, str):
        raise TypeError("the key is not text")
    shares = values.pop("shares", None)
    return key, Answer(**values, shares=None if shares is None else tuple(shares))  # type: ignore[arg-type]
