"""Keywords of a text, without a corpus: RAKE (Rose, Engel, Cramer and Cowley 2010), or all its content words."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, Literal

import pyarrow as pa

from hornbook import kernels
from hornbook.errors import HornbookError
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.machine.progress import progress
from hornbook.terms.characters import tables
from hornbook.terms.plain import plain
from hornbook.terms.stop_words import STOP_WORDS
from hornbook.terms.words import TOKEN, is_term, joins

BATCH_TEXTS = 8192


def phrases(text: str) -> list[tuple[float, tuple[str, ...]]]:
    """Return the candidate phrases of a text with their scores, best first.

    A phrase is a run of terms that no stop word and no punctuation mark breaks; names such as AT&T stay whole, though
    their parts are stop words. A term's score is its degree
    (the lengths of the phrases it stands in, summed over its occurrences) over its frequency; a phrase's score
    is the sum over its terms. Ties are broken by the phrase's text, last in the alphabet first, and a phrase
    that is repeated is listed as often as it stands in the text, as rake-nltk does.
    """
    found = [tuple(term for term in run if term) for inside, run in groupby(_content(text), key=bool) if inside]
    frequency = Counter(term for phrase in found for term in phrase)
    degree: Counter[str] = Counter()
    for phrase in found:
        for term in phrase:
            degree[term] += len(phrase)
    ratio = {term: degree[term] / frequency[term] for term in frequency}
    return sorted(((_sum(ratio, phrase), phrase) for phrase in found), key=_rank, reverse=True)


def keywords(text: str, best: int = 20) -> list[str]:
    """Return the terms of the `best` phrases of a text, each as often as it stands in them.

    Yao et al. (2022) search a corpus with these terms; empty where the text holds nothing but stop words.
    """
    return [term for _, phrase in phrases(plain(text))[:best] for term in phrase]


def content_words(text: str) -> list[str]:
    """Return the terms of a text that are no stop words, in order, each as often as it stands there."""
    return list(filter(None, _content(plain(text))))


def _content(text: str) -> Iterator[str | None]:
    """Yield the terms of a text that can be keywords, and None for what breaks a phrase: stop words and signs."""
    text = text.lower()
    for match in TOKEN.finditer(text):
        token, start, end = match.group(), match.start(), match.end()
        if is_term(token):
            yield token if token not in STOP_WORDS or joins(text, start - 1) or joins(text, end) else None
        elif not joins(text, start):
            yield None


def keywords_of_all(texts: Sequence[str], how: Literal["rake", "all"] = "rake", best: int = 20) -> list[list[str]]:
    """Return the keywords of each of many texts: `keywords(text, best)`, or `content_words(text)`.

    They are those of what a reader sees, see `plain`.

    Args:
        texts: what to describe.
        how: `rake`: the terms of the best phrases; `all`: every content word.
        best: for `rake`, how many phrases of a text.

    Raises:
        HornbookError: `best` is below 1.
    """
    if best < 1:
        raise HornbookError(f"{best} phrases of a text were asked for; at least 1 must be")
    compiled = kernels.compiled()
    # One for each call: it keeps what it has seen, and threads must not share it.
    fast = compiled and compiled.Keywords(*tables(), *text_buffers(pa.array(sorted(STOP_WORDS), pa.string())))
    found: list[list[str]] = []
    with progress("Keywords", len(texts), "anchors") as counter:
        for start in range(0, len(texts), BATCH_TEXTS):
            batch = texts[start : start + BATCH_TEXTS]
            found += _fast(fast, batch, how, best) if fast else [_slowly(text, how, best) for text in batch]
            counter.advance(len(batch))
    return found


def _slowly(text: str, how: str, best: int) -> list[str]:
    return keywords(text, best) if how == "rake" else content_words(text)


def _fast(compiled: Any, texts: Sequence[str], how: str, best: int) -> list[list[str]]:
    encoded = pa.array(map(plain, texts), pa.string())
    ends, *words, unusual = compiled.of(*text_buffers(encoded), best if how == "rake" else 0)
    # Each term once in memory, however many texts of the batch have it.
    every = texts_of(*words).dictionary_encode()
    flat = every.dictionary.to_numpy(zero_copy_only=False)[every.indices.to_numpy()].tolist()
    found = [flat[start:end] for start, end in pairwise([0, *ends.tolist()])]
    for row in unusual:
        found[row] = _slowly(texts[row], how, best)
    return found


def _sum(ratio: dict[str, float], phrase: tuple[str, ...]) -> float:
    # Not `sum`: from Python 3.12 on it rounds otherwise than in 3.11, which could turn a tie.
    score = 0.0
    for term in phrase:
        score += ratio[term]
    return score


def _rank(scored: tuple[float, tuple[str, ...]]) -> tuple[float, str]:
    return scored[0], " ".join(scored[1])
