"""Files that are written whole: a temporary name, then a rename."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, see `write_text`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name, then rename: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of a write, the system names no file
        temporary.unlink(missing_ok=True)
        raise
