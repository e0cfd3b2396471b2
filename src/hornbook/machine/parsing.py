"""Bytes from files become values here: JSON, YAML and NumPy arrays. A fault is one line with file and place.

Nothing is run, and what a few bytes can ask for is limited: depth, digits, and what YAML's aliases multiply.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hornbook.errors import HornbookError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_YAML_VALUES = 100_000
"""The most values of a YAML text, with each alias counted as what it stands for."""
DEEPEST_YAML = 50
"""The most lists and mappings inside each other in a YAML text."""
_MOST_DIGITS = 4_000  # Python refuses more than 4,300
_YAML_INTEGER = re.compile(rf"-?(0|[1-9][0-9_]{{0,{_MOST_DIGITS - 1}}})")
_SAID = 200  # characters of another library's message


def parse_json(text: str | bytes, where: str) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text, or its bytes in UTF-8.
        where: the file, for the error message.

    Returns:
        the value; a whole number of more than 4,000 digits is a Decimal.

    Raises:
        HornbookError: it is not JSON (the message names line and column), or nested too deeply for Python.
    """
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        raise HornbookError(f"{where}: not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise HornbookError(f"{where}: not JSON: {one_line(error, _SAID)}") from None


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Args:
        path: the file.

    Returns:
        as `parse_json`.

    Raises:
        HornbookError: as `parse_json`, or the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HornbookError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_json(data, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a YAML text, in which dates, 0110 and 1:30 are text.

    Args:
        text: the text.
        where: the file or option, for the error message.

    Returns:
        lists, mappings, texts, numbers, truth values and None.

    Raises:
        HornbookError: it is not YAML, has more than `MOST_YAML_VALUES` or is deeper than `DEEPEST_YAML`.
    """
    try:
        _limit(text)
        return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except HornbookError as error:
        raise HornbookError(f"{where}: {error}") from None
    except Exception as error:  # a tag such as !!float before something else raises anything
        raise HornbookError(f"{where}: not a YAML file: {one_line(error, _SAID)}") from None


def read_array(path: Path) -> "NDArray[Any]":
    """Return the array in a NumPy file; pickles in it are not run.

    Args:
        path: a file `.npy`.

    Returns:
        the array.

    Raises:
        HornbookError: the file cannot be read.
    """
    array: NDArray[Any] = _read_numpy(path)
    return array


def read_arrays(path: Path) -> "dict[str, NDArray[Any]]":
    """Return the arrays in a NumPy file by name; pickles in it are not run.

    Args:
        path: a file `.npz`.

    Returns:
        the arrays.

    Raises:
        HornbookError: the file cannot be read, or is damaged: its checksums are compared.
    """
    arrays: dict[str, NDArray[Any]] = _read_numpy(path)
    return arrays


def _read_numpy(path: Path) -> Any:
    import numpy as np  # recipes are parsed without it

    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            return found
        with found:
            return dict(found)
    except Exception as error:  # its readers of headers and of zip files raise anything
        said = one_line(error, _SAID) or type(error).__name__
        raise HornbookError(f"{path}: not a readable file of arrays: {said}") from None


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MOST_DIGITS else Decimal(text)


class _Loader(yaml.SafeLoader):
    """A safe loader that reads what YAML 1.1 takes for dates, octal and sexagesimal numbers as text: names."""


def _yaml_integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return int(node.value.replace("_", "")) if _YAML_INTEGER.fullmatch(node.value) else node.value


def _as_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _yaml_integer)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


def _limit(text: str) -> None:
    """Refuse a text that is too deep or means too many values; the parser builds nothing and does not recurse."""
    sizes: dict[str | None, int] = {}
    open_: list[tuple[str | None, int]] = []  # for each list or mapping: its anchor, and the count where it begins
    count = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            count += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        else:
            count += 1
        if len(open_) > DEEPEST_YAML:
            raise HornbookError(f"more than {DEEPEST_YAML} lists and mappings inside each other")
        if count > MOST_YAML_VALUES:
            raise HornbookError(f"more than {MOST_YAML_VALUES:,} values, with its aliases spelled out")
