"""From words to terms, the same for a corpus and its queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hornbook.terms.stop_words import STOP_WORDS

# Snowball handles the ASCII apostrophe only.
_APOSTROPHES = str.maketrans("’‘ʼ", "'''")


@dataclass(frozen=True)
class Analysis:
    """How words become terms.

    Attributes:
        stem: `english` for Snowball's English stemmer (Porter 2), or `none`.
        stop_words: whether to `keep` or `drop` English function words; dropped words do not count in a unit's length.
    """

    stem: Literal["none", "english"] = "none"
    stop_words: Literal["keep", "drop"] = "keep"

    def terms(self, words: Sequence[str]) -> list[str | None]:
        """Return the term of each word, None for a dropped one."""
        kept: list[str | None] = list(words)
        if self.stop_words == "drop":
            kept = [None if word in STOP_WORDS else word for word in words]
        if self.stem == "english":
            stem = _stemmer()
            kept = [None if word is None else stem(word.translate(_APOSTROPHES)) for word in kept]
        return kept

    def query(self, words: Sequence[str]) -> list[str]:
        """Return the terms of a query's words."""
        return [term for term in self.terms(words) if term is not None]


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english").stemWord
