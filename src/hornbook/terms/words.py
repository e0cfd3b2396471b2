"""The words of a text, split like Elasticsearch's `standard` analyzer (Unicode Standard Annex 29).

Differences that hardly matter in languages written with spaces: Chinese and Japanese characters are not split one by
one, combining marks beyond the basic plane end a word, and the length of a word is not limited.
"""

import re
import unicodedata
from collections.abc import Iterable

END = "\0"

# Combining marks, soft hyphen and zero-width joiner belong to the letter before them. Basic plane only: with rarer
# marks in the set the regular expression is seven times slower.
MARKS = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c))[0] == "M") + "\u00ad\u200d"
LETTER = r"[^\W\d_]"
BETWEEN_LETTERS = r".:'·․‧‘’"
BETWEEN_DIGITS = r".,;'․‘’"
_WORD = rf"""
    _*[^\W_]\w*
    (?:
        [{MARKS}]+\w*
      | [.,:;'·․‧‘’]
        (?: (?<={LETTER}[{BETWEEN_LETTERS}])(?={LETTER})
          | (?<=[{MARKS}][{BETWEEN_LETTERS}])(?={LETTER})
          | (?<=\d[{BETWEEN_DIGITS}])(?=\d)
        )
        \w+
    )*
"""
_TERM = re.compile(_WORD, re.VERBOSE)
_TERM_OR_END = re.compile(rf"{_WORD} | {END}", re.VERBOSE)
TOKEN = re.compile(rf"{_WORD} | \S", re.VERBOSE)
"""Matches a term in lower-cased text, or another visible character."""


def terms(text: str) -> list[str]:
    """Return the words of a text, lower-cased, in order: "Don't pay $3.14!" has don't, pay, 3.14."""
    return _TERM.findall(text.lower())


def places(text: str) -> list[tuple[str, int, int]]:
    """Return the terms of a text in order, each with its start and end in the original text."""
    # A few characters have two in lower case.
    origin = [position for position, character in enumerate(text) for _ in character.lower()]
    matches = _TERM.finditer(text.lower())
    return [(match.group(), origin[match.start()], origin[match.end() - 1] + 1) for match in matches]


def terms_of_all(texts: Iterable[str]) -> list[str]:
    """Return the terms of many texts in one list; `END`, which is not a term, follows those of each text."""
    return _TERM_OR_END.findall("".join(f"{text.replace(END, ' ')}{END}" for text in texts).lower())


def tokens(text: str) -> list[str]:
    """Return the tokens of a text in order: its terms, and every other visible character on its own."""
    return TOKEN.findall(text.lower())


def joins(text: str, position: int) -> bool:
    """Return whether an ampersand at `position` joins two words, one of them a single character ("AT&T")."""
    before, after = text[max(position - 2, 0) : max(position, 0)], text[position + 1 : position + 3]
    return (
        text[position : position + 1] == "&"
        and before[-1:].isalnum()
        and after[:1].isalnum()
        and not (_in_word(before[:-1]) and _in_word(after[1:]))
    )


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def is_term(token: str) -> bool:
    """Return whether one of the `tokens` of a text is a term rather than punctuation or another symbol."""
    return len(token) > 1 or token.isalnum()
