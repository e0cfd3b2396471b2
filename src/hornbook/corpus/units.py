"""From a document to units: normalised text, cut to sentences, lines or chunks.

A document is a string in which a blank line ends a paragraph. No sentence or line crosses a paragraph; a chunk
may. The splitter is one regular expression that finds where a sentence could end, and rules on the words around
that place: those of Kiss and Strunk (2006, "Unsupervised Multilingual Sentence Boundary Detection"), with fixed
lists instead of learned ones.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from hornbook.terms.plain import normalise

Unit = Literal["sentence", "line", "chunk"]

_PARAGRAPH = re.compile(r"\n\s*\n")
ENDS = ".!?…"
CLOSING = "\"'”’)]»"
OPENING = "\"'“‘([«¿¡"
SIGNS = "$£€#"
# What stands behind one of these is a word of its own: "Minneapolis-St. Paul", "Mr./Mrs. Doe".
JOINTS = "-–—/"
_END = re.compile(f"[{ENDS}][{re.escape(CLOSING)}]* ")
_JOINT = re.compile(f"[{JOINTS}]")
LETTER = r"[^\W\d_]"
_INITIALS = re.compile(rf"(?:{LETTER}\.)*{LETTER}")
_WORD = re.compile(r"[^\W_]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of these lists are of ASCII letters.
# A name follows, or more of the sentence: never its end.
TITLES = _words("""
    mr mrs ms messrs mme mlle dr drs fr prof profs rev revs hon pres gov govs sen sens rep reps gen gens col maj capt
    cpt cmdr cdr lt sgt cpl adm brig supt insp st ste sts mt vs cf viz e.g i.e eg esp incl approx
    """)
# Not the end of a sentence where a number follows.
NUMBERED = _words("""
    no nos p pp pg pgs vol vols fig figs sec secs sect sects art arts sc ch chap par para paras ed eds eq eqs eqn eqns
    op lib bk pt nr hr hrs rs ca tab thm prop def ex ref refs app suppl supp stat cir ct ver ext tel apt rm
    jan feb mar apr jun jul aug sep sept oct nov dec
    """)
# The end of a sentence only where the next word is one that often begins one.
UNCERTAIN = _words("""
    inc corp co cos ltd llc bros jr sr esq etc al ph.d jan feb mar apr jun jul aug sep sept oct nov dec
    dept univ assn bldg intl mfg mgr natl ave blvd ft cal ct cir dist supp
    """)
BEGINNERS = _words("""
    a about according additionally after all although among an and another any anyway as at because before besides
    both but by consequently despite during each even eventually every few finally first following for from
    furthermore generally given he hence her here his how however i if in including indeed instead it its last later
    likewise many meanwhile more moreover most my neither never nevertheless no none nonetheless nor not nothing now
    of on once one only or other others our over perhaps recent recently several she similarly since so some
    something sometimes soon specifically still subsequently such that the their then there therefore these they
    this those though three through thus to today two under unfortunately unlike until upon we what when where
    whether which while who why with without yes yet you your
    """)
# What begins a sentence behind such a word in lower-case writing, where "in", "and", "to" mostly go on.
SUBJECTS = _words("but he her his i it its my our she that the there these they this those we what you your")
# No sentence begins with one of these: "Yahoo! Inc. bought it."
SUFFIXES = _words("inc corp ltd llc plc")
# A capital behind one of these is a label, no initial: "vitamin C. Doctors say".
LABELLED = _words("""
    vitamin vitamins hepatitis influenza group size grade type class category plan option point section part phase
    version series model team level
    """)
# A sentence that begins right behind a mark: "It is good.This is not."
_TIGHT = re.compile(
    rf"(?<![^ {re.escape(OPENING)}])([a-z]{{2,}}[.!?])(?=(?:{'|'.join(sorted(map(str.capitalize, SUBJECTS)))}) )"
)
# What stands before an item of a list: "1.", "2.3.", "a.", "iv."; and before the next one, also "b)".
_ITEM = re.compile(rf"(?:\d+|{LETTER}|[ivxIVX]+)(?:\.(?:\d+|{LETTER}))*")
_NEXT_ITEM = re.compile(r"(?:[a-z]|[ivx]+)[.)] [A-Z]")
# "(9th Cir. 1994)"
_YEAR = re.compile(r"\d{4}\)")
# "I", "I'm": begins a sentence with a capital in lower-case writing too.
_PRONOUN = re.compile("I[ ,'’]")


def count_words(unit: str) -> int:
    """Return how many words, parted by spaces, a normalised unit has."""
    return unit.count(" ") + 1 if unit else 0


def cut(document: str, unit: Unit, chunk_words: int) -> list[str]:
    """Return the normalised units of a document, in order, of any length.

    Args:
        document: text as it stands in the source; blank lines part its paragraphs.
        unit: `line`: a paragraph; `sentence`; or `chunk`: see `join_chunks`.
        chunk_words: words in a chunk at most.
    """
    if "\n" in document:
        paragraphs = [normalise(paragraph) for paragraph in _PARAGRAPH.split(document)]
    else:
        paragraphs = [normalise(document)]
    if unit == "line":
        return paragraphs
    sentences = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph)]
    return sentences if unit == "sentence" else list(join_chunks(sentences, chunk_words))


def split_sentences(text: str) -> list[str]:
    """Return the sentences of normalised text; joined by single spaces they are the text again.

    A sentence ends at `.`, `!`, `?` or `…` with any closing quotes and brackets, before a space and something
    that can begin a sentence, unless a title, an initial, an abbreviation or a bare number stands before it. In a
    text where no sentence begins with a capital, a letter in lower case can begin one, behind a single `.`, `!` or
    `?`. A space that is missing before a pronoun or the like is put in: "good.This is".
    """
    text = _TIGHT.sub(r"\1 ", text)
    lower = _is_lower_case(text)
    sentences = []
    start = 0
    for match in _END.finditer(text):
        if _is_end(text, start, match.start(), match.end(), lower):
            sentences.append(text[start : match.end() - 1])
            start = match.end()
    sentences.append(text[start:])
    return sentences


def _is_lower_case(text: str) -> bool:
    """Say whether no sentence of a text begins with a capital, apart from the pronoun "I".

    That is: neither its first cased letter is a capital, nor is what follows an end mark and a space.
    """
    first = next((i for i, c in enumerate(text) if c.istitle() or (c.islower() and c.isalnum())), len(text))
    places = chain([first], (_past_opening(text, match.end()) for match in _END.finditer(text)))
    return not any(text[i : i + 1].istitle() and not _PRONOUN.match(text, i) for i in places)


def _past_opening(text: str, place: int) -> int:
    """Return where the word begins that stands at `place` or behind opening quotes and brackets there."""
    while place < len(text) and text[place] in OPENING:
        place += 1
    # A quotation mark or bracket that stands alone.
    return place + 1 if place < len(text) and text[place] == " " else place


def _is_end(text: str, start: int, mark: int, after: int, lower: bool) -> bool:
    """Say whether the sentence from `start` ends with the mark at `mark`; the next word stands at `after`.

    Args:
        text: what is cut.
        start: where the sentence begins.
        mark: where the mark stands.
        after: behind the mark, what closes with it, and a space.
        lower: see `_is_lower_case`.
    """
    after = _past_opening(text, after)
    if after == len(text):
        return False
    following = text[after]
    if not (following.isalnum() or following in SIGNS):
        return False
    alone = text[mark + 1] == " "
    if following.islower():
        ends = lower and alone and text[mark] != "…" and text[mark - 1 : mark] != "."
        if not (ends or _NEXT_ITEM.match(text, after)):
            return False
    if _YEAR.match(text, after) or _word_at(text, after) in SUFFIXES:
        return False
    if text[mark] != "." or not alone:
        return True
    word = text[max(text.rfind(" ", start, mark) + 1, start) : mark]
    return _ends_after(_JOINT.split(word)[-1].lstrip(OPENING), text, start, mark, after)


def _ends_after(word: str, text: str, start: int, mark: int, after: int) -> bool:
    """Say whether a full stop after `word` ends a sentence before something that could begin one."""
    lower = word.lower()
    if lower in TITLES:
        return False
    if mark - start == len(word) and _ITEM.fullmatch(word):
        # "1. Introduction": the number alone would be the sentence.
        return False
    if text[after].isdecimal() and lower in NUMBERED:
        return False
    if lower in UNCERTAIN or _INITIALS.fullmatch(word):
        if len(word) == 1 and word.istitle() and _word_before(text, start, mark) in LABELLED:
            return True
        following = _word_at(text, after)
        # "A. A. Milne": an initial begins no sentence.
        return following in (SUBJECTS if text[after].islower() else BEGINNERS) and not text.startswith(
            ".", after + len(following)
        )
    return True


def _word_at(text: str, place: int) -> str:
    found = _WORD.match(text, place)
    return found.group().lower() if found else ""


def _word_before(text: str, start: int, mark: int) -> str:
    """Return what stands before the last word of a sentence from `start` to `mark`."""
    *_, before, _ = ["", *text[start:mark].split(" ")]
    return before


def cut_long(unit: str, most: int) -> list[str]:
    """Return a unit's words in pieces of `most` words; the last may be shorter."""
    words = unit.split(" ")
    return [" ".join(words[first : first + most]) for first in range(0, len(words), most)]


def join_chunks(sentences: Iterable[str], chunk_words: int) -> Iterator[str]:
    """Yield neighbouring sentences joined by spaces, as many as fit into `chunk_words` words.

    A sentence that alone is longer is cut by words; its pieces stand alone, but the last can go on.
    """
    held: list[str] = []
    room = chunk_words
    for sentence in sentences:
        words = count_words(sentence)
        if words > room and held:
            yield " ".join(held)
            held, room = [], chunk_words
        if words > chunk_words:
            *whole, sentence = cut_long(sentence, chunk_words)
            yield from whole
            words -= chunk_words * len(whole)
        if words:
            held.append(sentence)
            room -= words
    if held:
        yield " ".join(held)
