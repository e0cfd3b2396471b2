"""From words to terms, the same for a corpus and its queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Literal

from hornbook.errors import HornbookError
from hornbook.languages import ENGLISH
from hornbook.terms.stop_words import stop_words

# Snowball handles the ASCII apostrophe only.
_APOSTROPHES = str.maketrans("’‘ʼ", "'''")


@dataclass(frozen=True)
class Analysis:
    """How words become terms.

    Attributes:
        stem: a language, for its Snowball stemmer (English: Porter 2), or `none`.
        stop_words: whether to `keep` or `drop` function words; dropped words do not count in a unit's length.
        language: the language of the stop words.
    """

    stem: str = "none"
    stop_words: Literal["keep", "drop"] = "keep"
    language: str = ENGLISH

    def terms(self, words: Sequence[str]) -> list[str | None]:
        """Return the term of each word, None for a dropped one."""
        kept: list[str | None] = list(words)
        if self.stop_words == "drop":
            dropped = stop_words(self.language)
            kept = [None if word in dropped else word for word in words]
        if self.stem != "none":
            stem = stemmer(self.stem)
            kept = [None if word is None else stem(word.translate(_APOSTROPHES)) for word in kept]
        return kept

    def query(self, words: Sequence[str]) -> list[str]:
        """Return the terms of a query's words."""
        return [term for term in self.terms(words) if term is not None]


@cache
def stemmer(language: str) -> Callable[[str], str]:
    """Return the Snowball stemmer of a language, a function from words to stems.

    Args:
        language: a key of `LANGUAGES`.

    Returns:
        the stemmer; threads must not share it.

    Raises:
        HornbookError: the installed PyStemmer is too old to have it.
    """
    import Stemmer

    try:
        found: Callable[[str], str] = Stemmer.Stemmer(language).stemWord
    except KeyError:
        raise HornbookError(
            f"corpus.stem: PyStemmer {version('pystemmer')} has no stemmer for {language}; install pystemmer 3.1 or "
            "later, or set corpus.stem to none"
        ) from None
    return found
