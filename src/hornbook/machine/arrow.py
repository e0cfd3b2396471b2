"""Arrow texts as NumPy arrays and back, without a copy."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def text_buffers(texts: pa.StringArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the offsets and the UTF-8 bytes of texts.

    Args:
        texts: n texts.

    Returns:
        offsets (n + 1) and bytes; text i is `data[offsets[i]:offsets[i + 1]]`.
    """
    _, offsets, data = texts.buffers()
    ends = np.zeros(1, np.int32) if offsets is None else np.frombuffer(offsets, np.int32)
    ends = ends[texts.offset : texts.offset + len(texts) + 1]
    return ends, np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def texts_of(offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> pa.StringArray:
    """Return the texts with these offsets and bytes: the inverse of `text_buffers`.

    Args:
        offsets: n + 1 positions in `data`.
        data: the UTF-8 bytes of all texts.

    Returns:
        the n texts.
    """
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
