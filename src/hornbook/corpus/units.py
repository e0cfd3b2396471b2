"""From a document to units: normalised text, cut to sentences, lines or chunks.

A document is a string in which a blank line ends a paragraph. No sentence or line crosses a paragraph; a chunk may.
The splitter is one regular expression that finds where a sentence could end, and rules on the words around that
position: those of Kiss and Strunk (2006, "Unsupervised Multilingual Sentence Boundary Detection"), with fixed lists
instead of learned ones, see `rules`.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from hornbook.corpus.rules import ENGLISH_RULES, JOINTS, LETTER, SIGNS, Rules, lower
from hornbook.terms.plain import normalise

Unit = Literal["sentence", "line", "chunk"]

_PARAGRAPH = re.compile(r"\n\s*\n")
_JOINT = re.compile(f"[{JOINTS}]")
_INITIALS = re.compile(rf"(?:{LETTER}\.)*{LETTER}")
_WORD = re.compile(r"[^\W_]+")
# The number of a list item, without its full stop: "1", "2.3", "a", "iv". The next item: "b. The", "iv) The".
_ITEM = re.compile(rf"(?:\d+|{LETTER}|[ivxIVX]+)(?:\.(?:\d+|{LETTER}))*")
_NEXT_ITEM = re.compile(r"(?:[a-z]|[ivx]+)[.)] [A-Z]")
# "(9th Cir. 1994)"
_YEAR = re.compile(r"\d{4}\)")
# "I", "I'm": begins a sentence with a capital in lower-case writing too.
_PRONOUN = re.compile("I[ ,'’]")


def count_words(unit: str) -> int:
    """Return the number of words, separated by spaces, in a normalised unit."""
    return unit.count(" ") + 1 if unit else 0


def cut(document: str, unit: Unit, chunk_words: int, rules: Rules = ENGLISH_RULES) -> list[str]:
    """Return the normalised units of a document, in order, of any length.

    Args:
        document: text as it is in the source; blank lines separate paragraphs.
        unit: `line` (a paragraph), `sentence`, or `chunk` (see `join_chunks`).
        chunk_words: maximum words in a chunk.
        rules: where sentences end.

    Returns:
        the units; those that are too short or too long are not yet dropped.
    """
    if "\n" in document:
        paragraphs = [normalise(paragraph) for paragraph in _PARAGRAPH.split(document)]
    else:
        paragraphs = [normalise(document)]
    if unit == "line":
        return paragraphs
    sentences = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph, rules)]
    return sentences if unit == "sentence" else list(join_chunks(sentences, chunk_words))


def split_sentences(text: str, rules: Rules = ENGLISH_RULES) -> list[str]:
    """Split normalised text into sentences.

    A sentence ends at `.`, `!`, `?`, `…` or another mark of the language with any closing quotes and brackets, before
    a space and something that can begin a sentence, unless a title, an initial, an abbreviation or a bare number
    precedes the mark. In a text where no sentence begins with a capital, a lower-case letter after a single ASCII
    mark can begin one. A missing space before a pronoun or the like is inserted: "good.This is".

    Args:
        text: one paragraph, see `normalise`.
        rules: those of the text's language.

    Returns:
        The sentences; joined by single spaces they are the text again.
    """
    text = rules.tight.sub(r"\1 ", text)
    lower_case = _is_lower_case(text, rules)
    sentences = []
    start = 0
    for match in rules.end.finditer(text):
        if _is_end(text, start, match.start(), match.end(), lower_case, rules):
            sentences.append(text[start : match.end() - 1])
            start = match.end()
    sentences.append(text[start:])
    return sentences


def _is_lower_case(text: str, rules: Rules) -> bool:
    """Return whether no sentence of a text begins with a capital, apart from the pronoun "I".

    Neither its first cased letter nor any letter after an end mark and a space is a capital.
    """
    first = next((i for i, c in enumerate(text) if c.istitle() or (c.islower() and c.isalnum())), len(text))
    places = chain([first], (_past_opening(text, match.end(), rules) for match in rules.end.finditer(text)))
    return not any(text[i : i + 1].istitle() and not _PRONOUN.match(text, i) for i in places)


def _past_opening(text: str, start: int, rules: Rules) -> int:
    """Return the start of the word at `start`, after any opening quotes and brackets."""
    while start < len(text) and text[start] in rules.opening:
        start += 1
    # Quotes or brackets with a space behind them.
    return start + 1 if start < len(text) and text[start] == " " else start


def _is_end(text: str, start: int, mark: int, after: int, lower_case: bool, rules: Rules) -> bool:
    """Return whether a sentence ends at an end mark.

    Args:
        text: the normalised text.
        start: start of the sentence.
        mark: position of the mark.
        after: position after the mark, its closing quotes and brackets, and a space.
        lower_case: see `_is_lower_case`.
        rules: those of the language.
    """
    after = _past_opening(text, after, rules)
    if after == len(text):
        return False
    following = text[after]
    if not (following.isalnum() or following in SIGNS):
        return False
    alone = text[mark + 1] == " "
    if following.islower():
        ends = lower_case and alone and text[mark].isascii() and text[mark - 1 : mark] != "."
        if not (ends or _NEXT_ITEM.match(text, after)):
            return False
    if _YEAR.match(text, after) or _word_at(text, after) in rules.suffixes:
        return False
    if text[mark] != "." or not alone:
        return True
    word = text[max(text.rfind(" ", start, mark) + 1, start) : mark]
    return _ends_after(_JOINT.split(word)[-1].lstrip(rules.opening), text, start, mark, after, rules)


def _ends_after(word: str, text: str, start: int, mark: int, after: int, rules: Rules) -> bool:
    """Return whether a full stop after `word` ends a sentence, given that the next word could begin one."""
    listed = lower(word)
    if listed in rules.titles:
        return False
    if mark - start == len(word) and _ITEM.fullmatch(word):
        # "1. Introduction": the number is not a sentence.
        return False
    if text[after].isdecimal() and listed in rules.numbered:
        return False
    if listed in rules.uncertain or _INITIALS.fullmatch(word):
        if len(word) == 1 and word.istitle() and _word_before(text, start, mark) in rules.labelled:
            return True
        following = _word_at(text, after)
        # "A. A. Milne": an initial begins no sentence.
        return following in (rules.subjects if text[after].islower() else rules.beginners) and not text.startswith(
            ".", after + len(following)
        )
    return True


def _word_at(text: str, start: int) -> str:
    match = _WORD.match(text, start)
    return lower(match.group()) if match else ""


def _word_before(text: str, start: int, mark: int) -> str:
    """Return the last word but one of a sentence from `start` to `mark`."""
    *_, before, _ = ["", *text[start:mark].split(" ")]
    return before


def cut_long(unit: str, max_words: int) -> list[str]:
    """Cut a unit into pieces of `max_words` words; the last may be shorter."""
    words = unit.split(" ")
    return [" ".join(words[first : first + max_words]) for first in range(0, len(words), max_words)]


def join_chunks(sentences: Iterable[str], chunk_words: int) -> Iterator[str]:
    """Join neighbouring sentences by spaces, as many as fit into `chunk_words` words.

    A sentence that is longer is cut into chunks; other sentences may follow its last piece.
    """
    chunk: list[str] = []
    room = chunk_words
    for sentence in sentences:
        words = count_words(sentence)
        if words > room and chunk:
            yield " ".join(chunk)
            chunk, room = [], chunk_words
        if words > chunk_words:
            *whole, sentence = cut_long(sentence, chunk_words)
            yield from whole
            words -= chunk_words * len(whole)
        if words:
            chunk.append(sentence)
            room -= words
    if chunk:
        yield " ".join(chunk)
