"""Tables of characters for the compiled core, derived from the regular expression of `words`."""

import re
import sys
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hornbook.terms.words import BETWEEN_DIGITS, BETWEEN_LETTERS, LETTER, MARKS

SIZE = 0x20000
_LETTER, _DIGIT, _UNDERSCORE, _MARK, _BETWEEN_LETTERS, _BETWEEN_DIGITS, _SPACE, _UNUSUAL = (1 << i for i in range(8))
# Its lower case depends on its neighbours.
_SIGMA = "\u03a3"
_CODE = f"utf-32-{sys.byteorder[0]}e"


@cache
def tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the kind of every character below `SIZE`, as bits of core/text/words.h, and its lower case, both [SIZE].

    A character is unusual if its lower case is not exactly one character, or depends on its neighbours.
    """
    codes = np.arange(SIZE, dtype=np.uint32)
    characters = codes.tobytes().decode(_CODE, "surrogatepass")
    kinds = np.zeros(SIZE, np.uint8)
    classes = {LETTER: _LETTER, r"\d": _DIGIT, "_": _UNDERSCORE, f"[{MARKS}]": _MARK, r"\s": _SPACE}
    classes |= {f"[{BETWEEN_LETTERS}]": _BETWEEN_LETTERS, f"[{BETWEEN_DIGITS}]": _BETWEEN_DIGITS}
    for pattern, kind in classes.items():
        for run in re.finditer(f"(?:{pattern})+", characters):
            kinds[slice(*run.span())] |= kind
    lowered = list(map(str.lower, characters))
    unusual = np.flatnonzero(np.fromiter(map(len, lowered), np.uint8, SIZE) != 1)
    for i in unusual:
        lowered[i] = characters[i]
    lower = np.frombuffer("".join(lowered).encode(_CODE, "surrogatepass"), np.uint32)
    kinds[unusual] = kinds[lower >= SIZE] = kinds[ord(_SIGMA)] = _UNUSUAL
    return kinds, np.where(lower < SIZE, lower, codes)
