"""NumPy files become arrays here. A fault is one line with the file; pickles are not run."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError, one_line
from hornbook.machine.parsing import SAID


def read_array(path: Path) -> NDArray[Any]:
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


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
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
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            return found
        with found:
            return dict(found)
    except Exception as error:  # its readers of headers and of zip files raise anything
        said = one_line(error, SAID) or type(error).__name__
        raise HornbookError(f"{path}: not a readable file of arrays: {said}") from None
