"""Keywords of a text, without a corpus: RAKE (Rose, Engel, Cramer and Cowley 2010), or all its content words."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, Literal

import pyarrow as pa

from hornbook import kernels
from hornbook.errors import HornbookError
from hornbook.languages import ENGLISH
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.machine.progress import progress
from hornbook.terms.characters import tables
from hornbook.terms.plain import plain
from hornbook.terms.stop_words import stop_words
from hornbook.terms.words import TOKEN, is_term, joins

BATCH_TEXTS = 8192


def phrases(text: str, language: str = ENGLISH) -> list[tuple[float, tuple[str, ...]]]:
    """Return the candidate phrases of a text with their scores, best first.

    A phrase is a run of terms without a stop word or a punctuation mark; names such as AT&T stay whole, although
    their parts are stop words. A term's score is its degree (the lengths of its phrases, summed over its occurrences)
    divided by its frequency; a phrase's score is the sum over its terms. Ties are broken by the phrase's text, last
    in the alphabet first. A repeated phrase is listed as often as it occurs, as rake-nltk does.
    """
    every = [
        tuple(term for term in run if term) for inside, run in groupby(_content(text, language), key=bool) if inside
    ]
    frequency = Counter(term for phrase in every for term in phrase)
    degree: Counter[str] = Counter()
    for phrase in every:
        for term in phrase:
            degree[term] += len(phrase)
    ratio = {term: degree[term] / frequency[term] for term in frequency}
    return sorted(((_sum(ratio, phrase), phrase) for phrase in every), key=_rank, reverse=True)


def keywords(text: str, best: int = 20, language: str = ENGLISH) -> list[str]:
    """Return the terms of the `best` phrases of a text, each as often as it occurs in them.

    Yao et al. (2022) search a corpus with these terms. A text of stop words only has none.
    """
    return [term for _, phrase in phrases(plain(text), language)[:best] for term in phrase]


def content_words(text: str, language: str = ENGLISH) -> list[str]:
    """Return the terms of a text without its stop words, in order, each as often as it occurs."""
    return list(filter(None, _content(plain(text), language)))


def _content(text: str, language: str) -> Iterator[str | None]:
    """Yield the terms of a text that can be keywords, and None where a stop word or a sign breaks a phrase."""
    text, stop = text.lower(), stop_words(language)
    for match in TOKEN.finditer(text):
        token, start, end = match.group(), match.start(), match.end()
        if is_term(token):
            yield token if token not in stop or joins(text, start - 1) or joins(text, end) else None
        elif not joins(text, start):
            yield None


def keywords_of_all(
    texts: Sequence[str], how: Literal["rake", "all"] = "rake", best: int = 20, language: str = ENGLISH
) -> list[list[str]]:
    """Return the keywords of many texts: `keywords(text, best)` or `content_words(text)` of each.

    Markup is not part of a text, see `plain`.

    Args:
        texts: the texts.
        how: `rake`: the terms of the best phrases; `all`: every content word.
        best: number of phrases per text, for `rake`.
        language: the language of the texts and of the corpus to be searched, see `Corpus.language`.

    Returns:
        The keywords of each text.

    Raises:
        HornbookError: `best` is below 1.
    """
    if best < 1:
        raise HornbookError(f"phrases is {best}; set it to at least 1")
    compiled = kernels.compiled()
    # One per call: it remembers the words that it has seen, and threads must not share it.
    fast = compiled and compiled.Keywords(
        *tables(), *text_buffers(pa.array(sorted(stop_words(language)), pa.string()))
    )
    found: list[list[str]] = []
    with progress("Keywords", len(texts), "anchors") as counter:
        for start in range(0, len(texts), BATCH_TEXTS):
            batch = texts[start : start + BATCH_TEXTS]
            found += (
                _fast(fast, batch, how, best, language)
                if fast
                else [_slowly(text, how, best, language) for text in batch]
            )
            counter.advance(len(batch))
    return found


def _slowly(text: str, how: str, best: int, language: str) -> list[str]:
    return keywords(text, best, language) if how == "rake" else content_words(text, language)


def _fast(compiled: Any, texts: Sequence[str], how: str, best: int, language: str) -> list[list[str]]:
    encoded = pa.array(map(plain, texts), pa.string())
    ends, *words, unusual = compiled.of(*text_buffers(encoded), best if how == "rake" else 0)
    # Each term once in memory, for all texts of the batch.
    every = texts_of(*words).dictionary_encode()
    flat = every.dictionary.to_numpy(zero_copy_only=False)[every.indices.to_numpy()].tolist()
    found = [flat[start:end] for start, end in pairwise([0, *ends.tolist()])]
    for row in unusual:
        found[row] = _slowly(texts[row], how, best, language)
    return found


def _sum(ratio: dict[str, float], phrase: tuple[str, ...]) -> float:
    # Not `sum`: Python 3.12 rounds it differently from 3.11, which could break a tie the other way.
    score = 0.0
    for term in phrase:
        score += ratio[term]
    return score


def _rank(scored: tuple[float, tuple[str, ...]]) -> tuple[float, str]:
    return scored[0], " ".join(scored[1])
