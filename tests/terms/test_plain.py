"""What a text is to those who compare it: normalised, without markup, or folded."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.terms.plain import folded, has_entities, has_tags, normalise, plain

# Unicode's Default_Ignorable_Code_Point, by its ranges, with the control characters.
IGNORABLE = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0, 0x7F, 0x1),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *(0xE0000, 0xE0001, 0xE0020, 0xE0041, 0xE007F, 0xE0100, 0xE01EF, 0xE0FFF),
]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("A good film.<br /><br />But long", "A good film. | | But long"),
        ('see <a href="http://x.y/z?a=1&b=2" target=_blank>here</a>', "see here"),
        ("<b>film</b>s<BR>and</p><hr noshade>songs", "films | and | | songs"),
        ("<!-- note --><script type='a'>var x = 1;</script>text<style>p {}</style>", "| | text |"),
        ('<img src="a.png" alt="a > b"/> cat', "| cat"),
        ("one<!-- a\ncomment -->two", "one | two"),
        ("jum&zwnj;ps &lrm;b", "jumps b"),
        ("&lt;p&gt;one &amp;amp; two&lt;/p&gt;", "| one & two |"),
        ("AT&amp;T&nbsp;&#39;s &quot;x&quot; caf&eacute; e&#769; &#x41;", 'AT&T \'s "x" café é A'),
        ("the company #39;s quot;plan quot; & quot ;", 'the company \'s "plan " "'),
    ],
)
def test_markup_goes(text, seen):
    assert plain(text) == seen
    assert has_tags(text) or has_entities(text) or "#39;" in text
    assert "br" not in plain(text).split()


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "a <b and c> d",
        "if p<q and r>s",
        "I <3 it, <user> said <url> <NUM>",
        "R&D; AT&T; Q&A; &foo; &notit; x&copy=1",
        "x --> y <- z; <>",
        "(issue #390; open)",
    ],
)
def test_what_is_no_markup_stays(text):
    assert plain(text) == text
    assert not has_tags(text)
    assert not has_entities(text)


def test_queries_lose_what_cannot_be_seen_but_keep_what_writes_a_word():
    assert plain("un\u00adbe\u200bliev\u2060a\ufeffble\u200e na\u200di\u0308\u034fve\ufe0f") == "unbelievable naïve"
    persian = "می\u200cخواهم"
    assert plain(persian) == normalise(persian) == persian


@given(st.text())
def test_plain_is_normalised_and_stays(text):
    assert normalise(plain(text)) == plain(text)
    if text.isalnum() and text.isascii():
        assert plain(text) == text


TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from("aé'’´`ßİıΣςσſﬁ½Ｆ①ŉǆ가ᄀ각e\u0301\u0327\u0345 -–\xa0\u3000<>&;#39brp/\u0130")),
)
HIDDEN = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(IGNORABLE)), max_size=8)


@given(TEXTS, HIDDEN, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_folded_hides_nothing_that_a_reader_sees(text, hidden, form):
    other = unicodedata.normalize(form, text)
    for place, code in hidden:
        other = other[:place] + chr(code) + other[place:]
    assert folded(other) == folded(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("STRASSE ẞ", "straße ß"),
        ("İSTANBUL ISPARTA", "istanbul ısparta"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("don’t don‘t donʼt don`t don´t don＇t", " ".join(["don't"] * 6)),
        ("<b>the</b> film", "The film"),
        ("caf&eacute; &amp; bar", "Café & Bar"),
    ],
)
def test_folded_texts_are_the_same(one, other):
    assert folded(one) == folded(other)
