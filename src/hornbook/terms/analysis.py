"""From words to terms: what a corpus does with its words is done with those of a query too."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hornbook.terms.stop_words import STOP_WORDS

# Snowball knows the apostrophe of ASCII only.
_APOSTROPHES = str.maketrans("’‘ʼ", "'''")


@dataclass(frozen=True)
class Analysis:
    """How words become terms.

    Attributes:
        stem: `english`: Snowball's English stemmer (Porter 2), or none.
        stop_words: whether English function words are kept or dropped; dropped ones count in no unit's length.
    """

    stem: Literal["none", "english"] = "none"
    stop_words: Literal["keep", "drop"] = "keep"

    def terms(self, words: Sequence[str]) -> list[str | None]:
        """Return the term of each word, None where it is dropped."""
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
