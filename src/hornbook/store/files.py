"""Atomic writes: to a temporary name, then a rename."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically.

    Args:
        path: the file.
        value: anything that `json` can write.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name, then rename: a reader never sees half a file.

    Args:
        path: the file.
        text: its content; lines end with a line feed on every system.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(text, "utf-8", newline="\n")
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the system does not name the file of a write
        temporary.unlink(missing_ok=True)
        raise
