"""Segments: the token type ids that a tokenizer gives to first and second texts and to special tokens."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Template:
    """The token type ids of one text or of a pair.

    Attributes:
        first: of the first text.
        second: of the second text; of a single text the same as `first`.
        before: of each special token before the first text.
        between: of each special token between the texts.
        after: of each special token after the last text.
    """

    first: int
    second: int
    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    def types(
        self, positions: NDArray[np.int64], lengths: NDArray[np.int64], second: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return token type ids.

        Args:
            positions: 0, 1, …, shape (longest,).
            lengths: of each sequence, shape (sequences, 1).
            second: where its second text begins; its length if it has none; shape (sequences, 1).

        Returns:
            the ids, shape (sequences, longest); of no use past the end of a sequence.
        """
        found = np.where(positions < second, self.first, self.second)
        for place, its in enumerate(self.before):
            if its != self.first:
                found[:, place] = its
        for end, neighbour, special in ((second, self.first, self.between), (lengths, self.second, self.after)):
            for distance, its in enumerate(reversed(special), 1):
                if its != neighbour:
                    found[positions == end - distance] = its
        return found

    def all(self) -> set[int]:
        """Return the ids that occur."""
        return {self.first, self.second, *self.before, *self.between, *self.after}


@dataclass(frozen=True)
class Segments:
    """The token type ids of a tokenizer.

    Attributes:
        single: of one text.
        pair: of a pair.
    """

    single: Template
    pair: Template

    def types(
        self, positions: NDArray[np.int64], lengths: NDArray[np.int64], second: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return the token type ids of texts and pairs; see `Template.types`."""
        pair = self.pair.types(positions, lengths, second)
        if self.single.all() == {0}:
            # Before its end, a single text has the first text's id alone.
            return np.where(second < lengths, pair, 0)
        return np.where(second < lengths, pair, self.single.types(positions, lengths, lengths))


BERT = Segments(Template(0, 0, (0,), (), (0,)), Template(0, 1, (0,), (0,), (1,)))
"""`[CLS] A [SEP] B [SEP]`: 0 for the first text, 1 for the second one and what follows it."""


def segments_of(tokenizer: Any) -> Segments:
    """Return the segments of a tokenizer, learned from one text and one pair.

    Args:
        tokenizer: a fast tokenizer whose template has the first text before the second one.

    Returns:
        its segments.
    """

    def read(*texts: str) -> list[Any]:
        found: list[Any] = tokenizer(*texts, padding=False, return_token_type_ids=True).encodings
        return found

    def candidates() -> Iterator[str]:
        yield "a"
        yield from itertools.islice(tokenizer.get_vocab(), 100)  # of whole words, it may not know "a"

    text = next((word for word in candidates() if 0 in read(word)[0].sequence_ids), "a")
    return Segments(*(_template(one.type_ids, one.sequence_ids) for (one,) in (read(text), read(text, text))))


def _template(types: list[int], texts: list[int | None]) -> Template:
    """Return a template from the token type ids of an input and which text each token is of (None: of none)."""
    last = max((text for text in texts if text is not None), default=0)
    start = [texts.index(text) for text in range(last + 1)]
    end = [len(texts) - texts[::-1].index(text) for text in range(last + 1)]
    between = types[end[0] : start[1]] if last else ()
    return Template(types[start[0]], types[start[-1]], *map(tuple, (types[: start[0]], between, types[end[-1] :])))


def counted(config: Any) -> int:
    """Return how many token type ids a model tells apart; 0 if it takes none."""
    # DeBERTa has 0 segments by default, RoBERTa 1, ModernBERT and DistilBERT no such field.
    count = int(getattr(config, "type_vocab_size", None) or 0)
    return count if count > 1 else 0


def missing(segments: Segments, config: Any) -> list[int]:
    """Return the token type ids that a tokenizer gives and its model has no row for."""
    count = counted(config)
    return sorted(one for one in segments.single.all() | segments.pair.all() if count and one >= count)
