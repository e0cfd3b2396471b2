"""RAKE: keywords of a single text, without a corpus (Rose, Engel, Cramer and Cowley 2010)."""

from collections import Counter
from itertools import groupby

from hornbook.terms.stop_words import STOP_WORDS
from hornbook.terms.words import is_term, tokens


def phrases(text: str) -> list[tuple[float, tuple[str, ...]]]:
    """Return the candidate phrases of a text with their scores, best first.

    A phrase is a run of terms that no stop word and no punctuation mark breaks. A term's score is its degree
    (the lengths of the phrases it stands in, summed over its occurrences) over its frequency; a phrase's score
    is the sum over its terms. Ties are broken by the phrase's text, last in the alphabet first, and a phrase
    that is repeated is listed as often as it stands in the text, as rake-nltk does.
    """
    runs = groupby(tokens(text), key=lambda token: is_term(token) and token not in STOP_WORDS)
    found = [tuple(run) for inside, run in runs if inside]
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
    return [term for _, phrase in phrases(text)[:best] for term in phrase]


def _sum(ratio: dict[str, float], phrase: tuple[str, ...]) -> float:
    # Not `sum`: from Python 3.12 on it rounds otherwise than in 3.11, which could turn a tie.
    score = 0.0
    for term in phrase:
        score += ratio[term]
    return score


def _rank(scored: tuple[float, tuple[str, ...]]) -> tuple[float, str]:
    return scored[0], " ".join(scored[1])
