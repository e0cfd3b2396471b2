"""Tasks from data in memory: pandas, Arrow, the datasets library, or plain lists."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows
from hornbook.machine.tables.columnar import json_column, table_rows
from hornbook.machine.tables.rows import unique_columns
from hornbook.tasks.names import stored_type

TaskData: TypeAlias = Any
"""A pandas DataFrame, an Arrow table, a `datasets.Dataset`, columns, records, or splits of these, see `prepare`."""
SPLITS = {
    "train": ("training", "train"),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("testing", "test"),
}
"""The names of each split; if a source has several for one split, the last one counts."""
_EXPORTS = ("__arrow_c_stream__", "__arrow_c_array__")  # how libraries hand over Arrow data without a copy
_EXACT = 1 << 53  # up to here a float holds every integer
_KINDS = (
    "a pandas DataFrame, an Arrow table, a datasets.Dataset, columns (a mapping from names to lists), a list of "
    "mappings, or a tuple of texts and labels"
)


def rows_by_split(name: str, data: TaskData, others: Mapping[str, TaskData]) -> dict[str, Rows]:
    """Return the rows of each split.

    Args:
        name: the task's name, for messages.
        data: train, or all splits in a mapping with the key "train".
        others: the other splits, by name.

    Returns:
        the rows, by split.

    Raises:
        HornbookError: the data is of an unknown type, has columns of different lengths, has no rows, or a split is
            given twice.
    """
    given = dict(others)
    if _has_splits(data):
        for split, names in SPLITS.items():
            if stored := [one for one in names if one in data]:
                if split in given:
                    raise HornbookError(f"{name}: the {split} split is given twice")
                given[split] = data[stored[-1]]
    else:
        given["train"] = data
    found = {
        split: _rows(name if len(given) == 1 else f"{name} ({split})", given[split])
        for split in SPLITS
        if split in given
    }
    for rows in found.values():
        if not any(rows.columns.values()) and not rows.refused:
            raise HornbookError(f"{rows.where}: holds no rows")
    return found


def rows_key(rows: Rows, columns: Sequence[str | None]) -> str:
    """Return a key for the content of columns; equal values have one key, whatever type they were stored in.

    Args:
        rows: a split.
        columns: the names of the columns that count, in a fixed order; missing ones (or None) count as such.

    Returns:
        a 128-bit hash in hexadecimal.
    """
    digest = xxhash.xxh3_128()
    for name in columns:
        values = None if name is None or name not in rows.columns else list(map(_canonical, rows.columns[name]))
        about = [values, rows.class_names.get(name or "")]
        digest.update(json.dumps(about, default=lambda value: [stored_type(value), str(value)]).encode() + b"\0")
    return digest.hexdigest()


def dataset_rows(where: str, dataset: Any) -> Rows:
    """Return the rows of a `datasets.Dataset`."""
    inner = {name: getattr(f, "feature", f) for name, f in dataset.features.items()}  # a list's elements
    names = {name: tuple(f.names) for name, f in inner.items() if hasattr(f, "names")}
    refused = {name: json_column(name) for name, about in dataset.features.items() if "Json(" in repr(about)}
    columns = {name: list(dataset[name]) for name in dataset.column_names if name not in refused}
    return Rows(where, columns, names, refused)


def _has_splits(data: TaskData) -> bool:
    """Return whether data is a mapping from split names to data, not from column names to values."""
    return isinstance(data, Mapping) and "train" in data and _is_table(data["train"])


def _is_table(data: Any) -> bool:
    if isinstance(data, tuple):
        return len(data) == 2 and not any(isinstance(one, str) for one in data)
    if isinstance(data, list):
        return bool(data) and all(isinstance(one, Mapping) for one in data)
    return isinstance(data, Mapping) or any(hasattr(data, name) for name in ("column_names", "columns", *_EXPORTS))


def _rows(where: str, data: TaskData) -> Rows:
    # A library that is not imported has made no data.
    datasets, pandas = sys.modules.get("datasets"), sys.modules.get("pandas")
    if datasets is not None and isinstance(data, datasets.Dataset):
        return dataset_rows(where, data.with_format(None))
    if pandas is not None and isinstance(data, pandas.DataFrame):
        names = [str(name) for name in data.columns]
        return _from_columns(where, names, [data.iloc[:, i].tolist() for i in range(len(names))])
    if any(hasattr(data, name) for name in _EXPORTS):
        return table_rows(where, pa.table(data))
    if isinstance(data, tuple) and len(data) == 2:
        data = dict(zip(("text", "label"), data, strict=True))
    if isinstance(data, list) and all(isinstance(one, Mapping) for one in data):
        keys = dict.fromkeys(key for record in data for key in record)
        data = {key: [record.get(key) for record in data] for key in keys}
    if isinstance(data, Mapping) and not any(isinstance(column, str) for column in data.values()):
        return _from_columns(where, list(map(str, data)), list(data.values()))
    raise HornbookError(f"{where}: {type(data).__name__} is not data that can be read; give {_KINDS}")


def _from_columns(where: str, names: Sequence[str], columns: Sequence[Any]) -> Rows:
    lists = [[_plain(value) for value in column] for column in columns]
    if len({len(column) for column in lists}) > 1:
        counts = ", ".join(f"{name} {len(column)}" for name, column in zip(names, lists, strict=True))
        raise HornbookError(f"{where}: its columns have different numbers of rows: {counts}")
    return Rows(where, *unique_columns(names, lists))


def _plain(value: Any) -> Any:
    """Return a value as Python has it: no NumPy types, None for what is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(one) for one in value), key=str)
    is_missing = type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    return None if is_missing else value


def _canonical(value: Any) -> Any:
    """Return a value so that equal ones are equal in JSON: 2.0 as 2, NaN as null."""
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    if isinstance(value, float) and not isinstance(value, bool):
        if value != value:
            return None
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    return value
