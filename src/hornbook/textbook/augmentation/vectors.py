"""Word vectors and nearest neighbours: candidates for words that the masked model splits into several tokens."""

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

# Cap on cosines in memory at once, 4 bytes each.
_MAX_COSINES = 1 << 24
_LINES_PER_UPDATE = 1_000
# Rows of such files for unknown words and for the end of a sentence.
_NOT_WORDS = ("<unk>", "</s>")


@dataclass(frozen=True)
class Vectors:
    """Unit word vectors.

    Attributes:
        words: distinct words.
        unit: the vector of each word divided by its length, float32, [words, width].
        rows: the row of each word.
    """

    words: Sequence[str]
    unit: NDArray[np.float32]
    rows: dict[str, int]

    def __contains__(self, word: str) -> bool:
        """Return whether there is a vector for this word, in this spelling."""
        return word in self.rows

    def nearest(self, words: Sequence[str], count: int) -> list[list[str]]:
        """Return for each word the `count` others with the highest cosine similarity, the nearest first.

        The neighbours of a title-cased word are title-cased, as in TinyBERT's script.

        Args:
            words: words that have a vector.
            count: neighbours per word; fewer if there are not as many.

        Returns:
            For each word up to `count` words.
        """
        import torch

        from hornbook.models.topk import topk_indices

        neighbours: list[list[str]] = []
        all_words = torch.from_numpy(self.unit)
        block = max(1, _MAX_COSINES // len(self.words))
        with progress("Nearest words", len(words), "words") as counter:
            for start in range(0, len(words), block):
                part = words[start : start + block]
                rows = torch.tensor([self.rows[word] for word in part])
                cosines = all_words[rows] @ all_words.T
                cosines[torch.arange(len(part)), rows] = -math.inf
                best = topk_indices(cosines, min(count, len(self.words) - 1)).tolist()
                for word, indices in zip(part, best, strict=True):
                    near = [self.words[i] for i in indices]
                    neighbours.append([other.title() for other in near] if word.istitle() else near)
                counter.advance(len(part))
        return neighbours


def read_vectors(path: Path | str, max_rows: int) -> Vectors:
    """Read the first vectors of a text file in GloVe or word2vec format: a word and its numbers on each line.

    The file may be compressed (.gz, .zst). A first line of two integers is word2vec's header. A word may contain
    spaces, as some of GloVe's do; the last row of a word counts. Zero vectors and the rows `<unk>` and `</s>` are
    dropped.

    Args:
        path: the file.
        max_rows: vectors to read.

    Returns:
        The vectors, scaled to length 1, in the order of the file.

    Raises:
        HornbookError: the file cannot be read or has no vectors, or lines of it are broken: of another width than the
            first, or with something that is not a number. The message counts them and shows the first.
    """
    words: list[str] = []
    numbers = array("f")
    width = broken = read = 0
    first_broken = ""
    with progress("Reading word vectors", max_rows, "vectors") as counter:
        for number, line in enumerate(read_lines(Path(path)), start=1):
            line = line.rstrip(" \r")
            if number == 1:
                header = _header_width(line)
                width = header or line.count(" ")
                if header:
                    continue
            if read == max_rows:
                break
            read += 1
            if read % _LINES_PER_UPDATE == 0:
                counter.advance(_LINES_PER_UPDATE)
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
    kept = sorted(row for word, row in last.items() if lengths[row] and word not in _NOT_WORDS)
    if not kept:
        raise HornbookError(f"{path}: has no word vectors")
    words = [words[row] for row in kept]
    return Vectors(words, vectors[kept] / lengths[kept, None], {word: row for row, word in enumerate(words)})


def _header_width(line: str) -> int:
    """Return the width from word2vec's header, or 0 if this line is not a header."""
    parts = line.split(" ")
    return int(parts[1]) if len(parts) == 2 and all(part.isdecimal() for part in parts) else 0


def _parsed(line: str, width: int) -> tuple[str, list[float]]:
    """Return the word and the numbers of a line; raise ValueError with the reason if it is broken."""
    word, *numbers = line.rsplit(" ", width)
    if not width or len(numbers) < width:
        raise ValueError(f"has {len(numbers)} numbers, not {width}" if width else "has no numbers")
    values = [_number(text) for text in numbers]
    # A word may contain spaces, but if it ends in a number the line is too long.
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
