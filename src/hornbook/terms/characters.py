"""What each character can be in a word, as tables for the compiled core, derived from the regular expression."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hornbook.terms.words import BETWEEN_DIGITS, BETWEEN_LETTERS, LETTER, MARKS

SIZE = 0x20000
_LETTER, _DIGIT, _UNDERSCORE, _MARK, _BETWEEN_LETTERS, _BETWEEN_DIGITS, _SPACE, _UNUSUAL = (1 << i for i in range(8))
# Its lower case hangs on what stands beside it.
_SIGMA = "\u03a3"


@cache
def tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the kind and the lower case of every character below `SIZE`, both of shape [SIZE].

    The kinds are those of core/words.h. A character is unusual where its lower case is not one character of its own.
    """
    characters = "".join(map(chr, range(SIZE)))
    kinds = np.zeros(SIZE, np.uint8)
    classes = {LETTER: _LETTER, r"\d": _DIGIT, "_": _UNDERSCORE, f"[{MARKS}]": _MARK, r"\s": _SPACE}
    classes |= {f"[{BETWEEN_LETTERS}]": _BETWEEN_LETTERS, f"[{BETWEEN_DIGITS}]": _BETWEEN_DIGITS}
    for pattern, kind in classes.items():
        for run in re.finditer(f"(?:{pattern})+", characters):
            kinds[slice(*run.span())] |= kind
    lowered = [character.lower() for character in characters]
    unusual = [i for i, lower in enumerate(lowered) if len(lower) != 1 or ord(lower) >= SIZE]
    kinds[[*unusual, ord(_SIGMA)]] = _UNUSUAL
    for i in unusual:
        lowered[i] = characters[i]
    return kinds, np.fromiter(map(ord, lowered), np.uint32, SIZE)
