"""The language of texts, by the stop words in them (Cavnar and Trenkle 1994 call these "short words").

A cheap test, enough for a whole task or corpus; a single short text may have no stop word, or only shared ones.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from hornbook.errors import HornbookError
from hornbook.languages import LANGUAGES, WITHOUT_SPACES
from hornbook.terms.plain import plain
from hornbook.terms.stop_words import stop_words
from hornbook.terms.words import terms

SAMPLE = 2_000
# A text in a language of the table has at least this share of its stop words. Lists are of different length.
_LEAST_SHARE = 0.08
# Blocks of scripts that need no spaces: Thai to Tibetan, Myanmar, Khmer, kana and Han.
_UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@cache
def _speakers() -> dict[str, tuple[str, ...]]:
    """Return the languages that have each stop word."""
    found: dict[str, list[str]] = {}
    for language in LANGUAGES:
        for word in stop_words(language):
            found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


def shares(texts: Iterable[str]) -> Counter[str]:
    """Return the share of words in the texts that are stop words of each language, 0 to 1."""
    speakers, counts, words = _speakers(), Counter[str](), 0
    for text in texts:
        found = terms(plain(text))
        words += len(found)
        for word in found:
            counts.update(speakers.get(word, ()))
    return Counter({language: count / words for language, count in counts.items()})


def detect(texts: Iterable[str], where: str) -> tuple[str, str]:
    """Return the language of texts, and how certain that is, for people.

    Args:
        texts: texts in one language, about `SAMPLE` of them.
        where: the setting that asks, for the error message.

    Returns:
        a key of `LANGUAGES`, and a text such as "41% of the words are its stop words, 12% those of dutch".

    Raises:
        HornbookError: no language has enough stop words in the texts, or they are written without spaces.
    """
    sample = list(texts)
    if sum(len(_UNSPACED.findall(text)) for text in sample) > sum(map(len, sample)) / 3:
        raise HornbookError(
            f"{where}: the texts are in a script without spaces between words ({', '.join(WITHOUT_SPACES)}), which "
            "hornbook needs to find them"
        )
    (best, share), (other, least) = [*shares(sample).most_common(2), ("", 0.0), ("", 0.0)][:2]
    if share < _LEAST_SHARE:
        why = f"at most {share:.0%} of the words are stop words of one language ({best})" if best else "no stop word"
        raise HornbookError(f"{where}: no language is clear: {why}; name the language")
    return best, f"{share:.0%} of the words are its stop words" + (f", {least:.0%} those of {other}" if other else "")


def count_languages(texts: Iterable[str], expected: str) -> Counter[str]:
    """Count texts by language.

    Args:
        texts: the texts.
        expected: the language of texts in which no other language has more stop words.

    Returns:
        the number of texts of each language, most first.
    """
    speakers, found = _speakers(), Counter[str]()
    for text in texts:
        counts = Counter(language for word in terms(plain(text)) for language in speakers.get(word, ()))
        best = max(counts, key=lambda language: (counts[language], language == expected), default=expected)
        found[best] += 1
    return found
