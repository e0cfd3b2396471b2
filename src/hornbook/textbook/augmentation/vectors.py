"""Word vectors, and the words nearest to a word: what may stand for a word that the model reads in several pieces."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.machine.text_files import read_lines

# The cosines of a block of words to all words are in memory at once: so many of them, of 4 bytes each.
_COSINES_AT_ONCE = 1 << 24
_LINES_A_STEP = 1_000
# What stands in such files for words that have no vector, and for the end of a sentence.
_NO_WORDS = ("<unk>", "</s>")


@dataclass(frozen=True)
class Vectors:
    """Word vectors of length 1.

    Attributes:
        words: each once.
        unit: their vectors divided by their lengths, float32, [words, width].
        rows: where each word stands.
    """

    words: Sequence[str]
    unit: NDArray[np.float32]
    rows: dict[str, int]

    def __contains__(self, word: str) -> bool:
        """Return whether there is a vector for this word, written just so."""
        return word in self.rows

    def nearest(self, words: Sequence[str], count: int) -> list[list[str]]:
        """Return for each word the `count` others of the greatest cosine, the nearest first.

        They are title-cased where the word is, as in TinyBERT's script.

        Args:
            words: each has a vector.
            count: others wanted; fewer are returned where there are no more.
        """
        import torch

        from hornbook.models.topk import topk_indices

        found: list[list[str]] = []
        all_words = torch.from_numpy(self.unit)
        block = max(1, _COSINES_AT_ONCE // len(self.words))
        with progress("Nearest words", len(words), "words") as counter:
            for start in range(0, len(words), block):
                part = words[start : start + block]
                rows = torch.tensor([self.rows[word] for word in part])
                cosines = all_words[rows] @ all_words.T
                cosines[torch.arange(len(part)), rows] = -math.inf
                best = topk_indices(cosines, min(count, len(self.words) - 1)).tolist()
                for word, indices in zip(part, best, strict=True):
                    near = [self.words[i] for i in indices]
                    found.append([other.title() for other in near] if word.istitle() else near)
                counter.advance(len(part))
        return found


def read_vectors(path: Path | str, most: int) -> Vectors:
    """Read the first vectors of a text file: a word and its numbers a line, parted by spaces (GloVe, word2vec).

    A first line of two whole numbers is word2vec's heading. The file may be compressed (.gz, .zst). A word may have
    spaces in it, as some of GloVe's have; of one that is there twice the last counts. Vectors without a direction
    are left out, and those that stand for no word (`<unk>`).

    Args:
        path: the file.
        most: vectors to read.

    Raises:
        HornbookError: the file cannot be read or holds no vectors, or lines of it are broken: of another width than
            the first, or with something that is no number. They are counted, and the first is named.
    """
    words: list[str] = []
    numbers = array("f")
    width = broken = read = 0
    first_broken = ""
    with progress("Reading word vectors", most, "vectors") as counter:
        for number, line in enumerate(read_lines(Path(path)), start=1):
            line = line.rstrip(" \r")
            if number == 1:
                heading = _heading(line)
                width = heading or line.count(" ")
                if heading:
                    continue
            if read == most:
                break
            read += 1
            if read % _LINES_A_STEP == 0:
                counter.advance(_LINES_A_STEP)
            try:
                word, values = _parsed(line, width)
            except ValueError as error:
                broken += 1
                first_broken = first_broken or f"line {number:,}: {error}"
                continue
            words.append(word)
            numbers.extend(values)
    if broken:
        raise HornbookError(
            f"{path}: {broken:,} of the {read:,} lines read are broken; the first is {first_broken}; remove them"
        )
    vectors = np.array(numbers, np.float32).reshape(len(words), width)
    lengths = np.linalg.norm(vectors, axis=1)
    last = {word: row for row, word in enumerate(words)}
    kept = sorted(row for word, row in last.items() if lengths[row] and word not in _NO_WORDS)
    if not kept:
        raise HornbookError(f"{path}: holds no word vectors")
    words = [words[row] for row in kept]
    return Vectors(words, vectors[kept] / lengths[kept, None], {word: row for row, word in enumerate(words)})


def _heading(line: str) -> int:
    """Return the width that word2vec's heading states, 0 if this line is none."""
    parts = line.split(" ")
    return int(parts[1]) if len(parts) == 2 and all(part.isdecimal() for part in parts) else 0


def _parsed(line: str, width: int) -> tuple[str, list[float]]:
    """Return the word and the numbers of a line, or raise ValueError with what is wrong."""
    word, *numbers = line.rsplit(" ", width)
    if not width or len(numbers) < width:
        raise ValueError(f"has {len(numbers)} numbers, not {width}" if width else "has no numbers")
    values = [_number(text) for text in numbers]
    # A word may have spaces in it, but if its end is a number the line is too long.
    if " " in word and _is_number(word.rpartition(" ")[2]):
        raise ValueError(f"has more than {width} numbers")
    return word, values


def _number(text: str) -> float:
    if not _is_number(text):
        raise ValueError(f"{text[:40]!r} is not a number")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
