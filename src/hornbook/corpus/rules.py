"""The rules that the splitter follows in each language: end marks, quotation marks and lists of words.

Those of English are Kiss and Strunk's (2006) with fixed lists. For the other languages the abbreviations are in
`corpus.abbreviations`, and what begins a sentence are the language's function words.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus.abbreviations import ABBREVIATIONS, ORDINALS, words_of
from hornbook.languages import ENGLISH
from hornbook.terms.plain import UNSEEN
from hornbook.terms.stop_words import stop_words

SIGNS = "$£€#"
# They separate words: "Minneapolis-St. Paul", "Mr./Mrs. Doe".
JOINTS = "-–—/"
LETTER = r"[^\W\d_]"
# The core knows the characters below; documents with others are cut by the reference.
_SIZE = 0x20000
# Bits of a character's kind, as in core/text/sentences.h.
_SPACE, _UNSEEN, _UNUSUAL, _END, _CLOSING, _OPENING, _BEGINS, _LETTER, _DIGIT, _JOINT, _CAPITAL = (
    1 << i for i in range(11)
)
_LISTS = ("titles", "numbered", "uncertain", "beginners", "suffixes", "subjects", "labelled")
# Hangul vowels and final consonants: they join the syllable before them, though it does not decompose into two.
_JAMO = "\u1161-\u1175\u11a8-\u11c2"

_LOWER = {ord(c): ord(c) + 32 for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def lower(word: str) -> str:
    """Return a word with the letters A to Z in lower case, as it is looked up in the lists."""
    return word.translate(_LOWER)


def spellings(words: frozenset[str]) -> frozenset[str]:
    """Return words in lower case as they are looked up when written in lower case, capitalised, or in capitals."""
    return frozenset(lower(change(word)) for word in words for change in (str, str.capitalize, str.upper))


@dataclass(frozen=True)
class Rules:
    """What the splitter knows of a language.

    Attributes:
        titles: never the end of a sentence: a name follows, or more of the sentence.
        numbered: not the end of a sentence if a number follows.
        uncertain: the end of a sentence only if the next word often begins one.
        beginners: words that often begin a sentence.
        suffixes: no sentence begins with one of these: "Yahoo! Inc. bought it."
        subjects: begin a sentence after an uncertain word in lower-case writing, where "in", "and" and "to" mostly
            continue one; and after an end mark without a space.
        labelled: a capital after one of these is a label, not an initial: "vitamin C. Doctors say".
        ends: the end marks.
        closing: quotation marks and brackets that may follow an end mark.
        opening: those that may precede the first word of a sentence.
    """

    titles: frozenset[str]
    numbered: frozenset[str]
    uncertain: frozenset[str]
    beginners: frozenset[str]
    suffixes: frozenset[str]
    subjects: frozenset[str]
    labelled: frozenset[str]
    ends: str = ".!?…"
    closing: str = "\"'”’)]»"
    opening: str = "\"'“‘([«¿¡"

    @cached_property
    def end(self) -> re.Pattern[str]:
        """Matches where a sentence could end: a mark, its closing quotation marks and brackets, a space."""
        return re.compile(f"[{self.ends}][{re.escape(self.closing)}]* ")

    @cached_property
    def tight(self) -> re.Pattern[str]:
        """Matches a word and an end mark without a space before the next sentence: "It is good.This is not."."""
        subjects = "|".join(sorted(map(str.capitalize, self.subjects))) or "(?!)"
        return re.compile(rf"(?<![^ {re.escape(self.opening)}])([a-z]{{2,}}[.!?])(?=(?:{subjects}) )")


_TITLES = words_of("""
    mr mrs ms messrs mme mlle dr drs fr prof profs rev revs hon pres gov govs sen sens rep reps gen gens col maj capt
    cpt cmdr cdr lt sgt cpl adm brig supt insp st ste sts mt vs cf viz e.g i.e eg esp incl approx
    """)
_NUMBERED = words_of("""
    no nos p pp pg pgs vol vols fig figs sec secs sect sects art arts sc ch chap par para paras ed eds eq eqs eqn eqns
    op lib bk pt nr hr hrs rs ca tab thm prop def ex ref refs app suppl supp stat cir ct ver ext tel apt rm
    jan feb mar apr jun jul aug sep sept oct nov dec
    """)
_UNCERTAIN = words_of("""
    inc corp co cos ltd llc bros jr sr esq etc al ph.d jan feb mar apr jun jul aug sep sept oct nov dec
    dept univ assn bldg intl mfg mgr natl ave blvd ft cal ct cir dist supp
    """)
_BEGINNERS = words_of("""
    a about according additionally after all although among an and another any anyway as at because before besides
    both but by consequently despite during each even eventually every few finally first following for from
    furthermore generally given he hence her here his how however i if in including indeed instead it its last later
    likewise many meanwhile more moreover most my neither never nevertheless no none nonetheless nor not nothing now
    of on once one only or other others our over perhaps recent recently several she similarly since so some
    something sometimes soon specifically still subsequently such that the their then there therefore these they
    this those though three through thus to today two under unfortunately unlike until upon we what when where
    whether which while who why with without yes yet you your
    """)
_SUBJECTS = words_of("but he her his i it its my our she that the there these they this those we what you your")
_SUFFIXES = words_of("inc corp ltd llc plc")
_LABELLED = words_of("""
    vitamin vitamins hepatitis influenza group size grade type class category plan option point section part phase
    version series model team level
    """)

ENGLISH_RULES = Rules(_TITLES, _NUMBERED, _UNCERTAIN, _BEGINNERS, _SUFFIXES, _SUBJECTS, _LABELLED)
_NONE: frozenset[str] = frozenset()
# Marks beside those of English. German and others close with the sign that opens a quotation in English.
_ENDS = {"arabic": "؟۔", "armenian": "։", "greek": ";", "hindi": "।॥", "nepali": "।॥", "persian": "؟۔"}
_LOW_QUOTES = words_of("""
    czech danish estonian german lithuanian serbian hungarian polish romanian dutch finnish swedish norwegian russian
    """)


@cache
def rules_of(language: str) -> Rules:
    """Return the rules of a language.

    Args:
        language: a key of `LANGUAGES`.

    Returns:
        the rules. A number before a full stop is an ordinal where the language writes them so.
    """
    if language == ENGLISH:
        return ENGLISH_RULES
    titles, numbered, uncertain = (spellings(words_of(text)) for text in ABBREVIATIONS.get(language, ("", "", "")))
    uncertain |= _SUFFIXES
    if language in ORDINALS:
        uncertain |= {str(number) for number in range(1, 32)}
    beginners = spellings(frozenset(word for word in stop_words(language) if word.isalpha()))
    rules = Rules(titles, numbered, uncertain, beginners, _SUFFIXES, _NONE, _NONE)
    rules = replace(rules, ends=rules.ends + _ENDS.get(language, ""))
    if language not in _LOW_QUOTES:
        return rules
    return replace(rules, closing=f"{rules.closing}“‘«›", opening=f"{rules.opening}„‚»‹”’")


@cache
def lists(language: str = ENGLISH) -> dict[str, int]:
    """Return for each word the `_LISTS` of a language's rules that hold it, one bit each."""
    all_lists = [getattr(rules_of(language), name) for name in _LISTS]
    return {
        word: sum((word in words) << bit for bit, words in enumerate(all_lists))
        for word in frozenset().union(*all_lists)
    }


@cache
def kinds(language: str = ENGLISH) -> NDArray[np.uint16]:
    """Return the kind of every character in a language, as bits of core/text/sentences.h, [`_SIZE`] uint16.

    A character is unusual if text that contains it may not be in composed form (NFC): if a normal form changes it, or
    it can move behind or combine with the character before it (Unicode Standard Annex 15, section 9).
    """
    table, rules = _kinds_everywhere().copy(), rules_of(language)
    for marks, kind in ((rules.ends, _END), (rules.closing, _CLOSING), (rules.opening, _OPENING)):
        table[[ord(mark) for mark in marks]] |= kind
    return table


@cache
def _kinds_everywhere() -> NDArray[np.uint16]:
    """Return the kind of every character as far as it is the same in all languages."""
    characters = "".join(map(chr, range(_SIZE)))
    table = np.zeros(_SIZE, np.uint16)
    classes = (
        (r"\s", _SPACE),
        (UNSEEN, _UNSEEN),
        (f"[{_JAMO}]", _UNUSUAL),
        (f"[{re.escape(SIGNS)}]", _BEGINS),
        (LETTER, _LETTER | _BEGINS),
        (r"\d", _DIGIT | _BEGINS),
        (f"[{re.escape(JOINTS)}]", _JOINT),
    )
    for pattern, kind in classes:
        for run in re.finditer(f"{pattern}+", characters):
            table[slice(*run.span())] |= kind
    for code, character in enumerate(characters):
        if character.islower():
            table[code] &= ~np.uint16(_BEGINS)
        if character.istitle():
            table[code] |= _CAPITAL
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            table[int(parts[1], 16)] |= _UNUSUAL
        if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
            table[code] |= _UNUSUAL
    return table


def from_tables(kinds: NDArray[np.uint16], lists: Mapping[str, int]) -> Rules:
    """Return the rules that the tables of a language hold, see `kinds` and `lists`."""
    words = {
        name: frozenset(word for word, bits in lists.items() if bits >> bit & 1) for bit, name in enumerate(_LISTS)
    }
    ends, closing, opening = ("".join(map(chr, np.flatnonzero(kinds & kind))) for kind in (_END, _CLOSING, _OPENING))
    return Rules(**words, ends=ends, closing=closing, opening=opening)
