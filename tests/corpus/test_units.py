import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.units import count_words, cut, join_chunks, split_sentences
from hornbook.terms.plain import normalise

INVISIBLE = "\xad\u200b\u2060\ufeff"
AWKWARD = st.text(alphabet=st.sampled_from("ab é\u0301\u0000\u0007\n\t\x85\xa0\u2003\x1f\x7f" + INVISIBLE + "\ud800"))


def slow_normalise(text):
    """Character by character, as the docstring says it."""
    seen = [c for c in text if c.isspace() or (unicodedata.category(c) not in ("Cc", "Cs") and c not in INVISIBLE)]
    words, word = [], ""
    for c in unicodedata.normalize("NFC", "".join(seen)):
        if c.isspace():
            words.append(word)
            word = ""
        else:
            word += c
    return " ".join(w for w in [*words, word] if w)


def slow_chunks(sentences, chunk_words):
    """Word by word: what a chunk holds is a list of whole sentences or a piece of one."""
    chunks, current = [], []
    for sentence in sentences:
        words = sentence.split()
        if len(words) > chunk_words or len(current) + len(words) > chunk_words:
            chunks.append(current)
            current = []
        for word in words:
            if len(current) == chunk_words:
                chunks.append(current)
                current = []
            current.append(word)
    return [" ".join(chunk) for chunk in [*chunks, current] if chunk]


@given(st.one_of(AWKWARD, st.text(), st.text(alphabet="ab \n")))
def test_normalise_is_what_the_slow_one_says(text):
    assert normalise(text) == slow_normalise(text)
    assert normalise(normalise(text)) == normalise(text)
    assert count_words(normalise(text)) == len(slow_normalise(text).split(" ")) * bool(normalise(text))
    normalise(text).encode("utf-8")


def test_normalise_composes_and_strips():
    assert normalise(" cafe\u0301\tau\x00\r\n lait\xa0\u200b ") == "café au lait"


SENTENCES = [
    ["One is here.", "Two is there!", "Is three?", "Yes."],
    ["Mr. Smith met Dr. J. R. Jones, M.P., at 5 p.m. in St. Albans.", "They spoke."],
    ["It rose 3.5 percent to $4.2 billion.", "Then it fell."],
    ['"Stop!" he said.', '"Why?"', "She did not know."],
    ["He left the U.S. in May.", "He came back to the U.S.", "The rest is known."],
    ["See p. 5, Fig. 3 and No. 7.", "It costs £5.", "£6 is too much."],
    ["Fruit, e.g. Apples, is cheap (it is.)", "So are nuts."],
    [
        "1. Introduction of the plan",
    ],
    ["It ended in 1990.", "1991 was better."],
    ["Wait... for me.", "And then…", "Nothing."],
    ["Acme Inc. Chairman Bob Lee of Smith & Co. left.", "He was sad."],
    ["The book (see J. Doe et al. 1999) is long.", "[It is.]", "‘Quite so.’", "«Oui.»", "Enough"],
    ["the film .", "it was lower-cased text ."],
    ["The film of e.g. Sony . it was not lower-cased text ."],
    ["we saw it at 5 p.m. in st. albans.", "it was good!", "was it?", "yes.", "5 stars"],
    [
        "acme inc. bought it, e.g. for dr. jones, i.e. the u.s. of old, approx. five etc. and more.",
        "we saw no. 5 there",
    ],
    ["he lived in the u.s. of a lot.", 'wait... for me, "stop!" he said, and … ran'],
    ["he works for acme inc.", "the firm is in the u.s.", "it is old."],
    ["i love my iPhone.", "it works well.", "I bought it in Paris.", "no regrets."],
    ["I'm at home.", "we saw Mr Lee!", "I’ll go to NYC.", "I, too, went?", "(I've seen it.)", "I go."],
    ["(“we left Tom.", "it was good."],
    ["“Tom left. we saw it go."],
    ["3 cats of Tom.", "one is old."],
    ["3 Cats left. one is old."],
    ["we left Rome. it was good (see the map.)", '" The map was old . it was torn .'],
    ["we left Rome. it was good.", "I.B.M. made it."],
    ["we left Rome. it was good…", "Then it fell."],
    ["The case (9th Cir. 1994) is old (N.Y. 2001) and (Smith 1999).", "1) One.", "2) Two."],
    ["See Sect. 3.2, Tab. 4, Ref. 5 and Ext. 77.", "The rest is known."],
    ["Yahoo! Inc. bought it.", "It sold Alphabet! Corp. stock."],
    ["a. The tenant pays.", "b. The landlord rests.", "iv. No one does."],
    ["1.2. The scope.", "II. The rest."],
    ["a) The tenant pays.", "b) The landlord rests.", "iv) No one does."],
    ["He cites Doe v. Roe (Cal. Ct. App. 1992).", "It is old."],
    ["It comes in size S.", "Fits well.", "They take vitamin C.", "Doctors do.", "J. Doe"],
    ["It was by S. Fits and A. Doctors of World War I. Part two."],
    ["He came at 5 p.m. Monday and left at 6 p.m. Tuesday."],
    ["It is good.", "This is not!", "I know?", "We do, see example.Com, Node.js, list.First and asp.Net."],
    ["The Minneapolis-St. Paul area has Mr./Mrs. Olsen and—Dr. Bell."],
    ["He was near the end of World War I.", "Subsequently, A. A. Reed and I. B. Cole met Charles V. of Spain."],
    ["The court heard Hill v. Dale (pg. 14) with Sens. Lee and Fox.", "It took 3 hrs. 20 min. in all."],
    ["They saw the dog .", '" Was it yours ?', '" Nobody knew .', "( The dog did . )"],
    ["It was built ca. 1850 for Rs. 900 or £4.50.", "#5 is new."],
    ["She bought it from Smith/Jones Ltd.", "Finally, she sold it."],
]
# Without the spaces that are missing.
TIGHT = [
    ("It is good.This is not!I know?We do.", ["It is good.", "This is not!", "I know?", "We do."]),
    ("See list.First of all.The", ["See list.First of all.The"]),
    ("Read system.In and vs.The one, a.The x", ["Read system.In and vs. The one, a.The x"]),
]


@pytest.mark.parametrize("sentences", SENTENCES, ids=lambda s: s[0])
def test_sentences(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


@pytest.mark.parametrize(("text", "sentences"), TIGHT)
def test_sentences_without_a_space_between_them(text, sentences):
    assert split_sentences(text) == sentences


PROSE = st.lists(
    st.sampled_from(
        [
            "The",
            "i",
            "I",
            "iPad",
            "a.",
            "Inc.",
            "it is.",
            "1994)",
            "cat",
            "Mr.",
            "U.S.",
            "3.",
            "4.5",
            "end.",
            "end!",
            '"Yes?"',
            "J.",
            "(no.)",
            "...",
            ".",
            "é.",
            '"',
            "(",
            "$",
            "5",
        ]
    )
).map(" ".join)


@given(st.one_of(PROSE, st.text().map(normalise)))
def test_sentences_joined_are_the_text(text):
    for written in (text, text.lower()):
        joined = " ".join(split_sentences(written))
        assert joined == written or joined.replace(" ", "") == written.replace(" ", "")


@given(
    st.lists(st.lists(st.sampled_from(["a", "bb", "c."]), min_size=1, max_size=12).map(" ".join), max_size=12),
    st.integers(1, 8),
)
def test_chunks_are_what_the_slow_one_says(sentences, chunk_words):
    chunks = list(join_chunks(sentences, chunk_words))
    assert chunks == slow_chunks(sentences, chunk_words)
    assert all(0 < count_words(chunk) <= chunk_words for chunk in chunks)


def test_units_of_a_document():
    document = "One  is here. Two\nis there.\n \nThree is last."
    assert cut(document, "line", 9) == ["One is here. Two is there.", "Three is last."]
    assert cut(document, "sentence", 9) == ["One is here.", "Two is there.", "Three is last."]
    assert cut(document, "chunk", 6) == ["One is here. Two is there.", "Three is last."]
    assert cut(document, "chunk", 2) == ["One is", "here.", "Two is", "there.", "Three is", "last."]
