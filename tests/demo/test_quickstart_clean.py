"""The cleaning functions against examples worked by hand."""

import bz2
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.demo import clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a hard @-@ won 1 @,@ 200 @.@ 5 points", "a hard-won 1,200.5 points"),
        ("He came , saw ; and left .", "He came, saw; and left."),
        ('the " grand " old ( and cold ) house', 'the "grand" old (and cold) house'),
        ("the king 's men didn 't ; they 've gone", "the king's men didn't; they've gone"),
        ("for $ 5 ( £ 3 ) , or 10 % off", "for $5 (£3), or 10% off"),
        ("Who said `` no '' to her ?", 'Who said "no" to her?'),
        ('he said " yes . "', 'he said "yes."'),
        ("nothing to do here", "nothing to do here"),
    ],
)
def test_tokens_are_put_back_together(raw, expected):
    assert clean.untokenized(raw) == expected


@given(st.text("abc .,;:'\"()-@$%"))
def test_putting_together_only_moves_spaces_and_marks(text):
    before = clean.letters_and_digits(text)
    assert clean.letters_and_digits(clean.untokenized(text)) == before


def test_wikitext_keeps_paragraphs_only():
    raw = " \n = A Title = \n \n One , two . \n = = Part = = \n A <unk> thing . \n Three @-@ four . \n"
    assert list(clean.wikitext(gzip.compress(raw.encode()))) == ["One, two.", "Three-four."]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a &amp;lt; b\t &amp; c", "a < b & c"),
        ("see https://example.org/x?y=1 now", "see now"),
        ("  two\u00a0\u2028words \r\n", "two words"),
    ],
)
def test_plain_text(raw, expected):
    assert clean.plain(raw) == expected


def test_letters_and_digits():
    assert clean.letters_and_digits("It's  No_2 - ÉTÉ!") == "itsno2été"


@pytest.mark.parametrize(
    ("text", "intact"), [("fine – café", True), ("42 !?", False), ("caf\ufffd", False), ("", False)]
)
def test_broken_text_is_known(text, intact):
    assert clean.is_intact(text) == intact


def test_bytes_that_are_no_utf8_are_refused_later():
    assert [clean.is_intact(line) for line in clean.text_lines(b"good\ncaf\xe9\n")] == [True, False]


def test_questions_lose_their_class():
    assert list(clean.questions(b"NUM:date When was it ?\n")) == ["When was it?"]


def test_columns_of_tab_separated_files():
    assert list(clean.turns(b"hello.\thi.\nbye.\t\n")) == ["hello.", "hi.", "bye.", ""]
    assert list(clean.first_column(b"Go.\tVe.\tcredit\n")) == ["Go."]
    assert list(clean.last_column(b"id\tscore\ttext\n1\t0.5\tA text.\n")) == ["A text."]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_column_of_a_table(pack):
    data = pack(b'kind,text\nplot,"One.\nTwo, too."\nreview,No.\nplot,Three.\n')
    assert list(clean.table(data, "text", kind="plot")) == ["One.", "Two, too.", "Three."]
    assert list(clean.table(data, "kind")) == ["plot", "review", "plot"]


def test_an_orange_table_has_two_more_heading_rows():
    data = b"Language\tContent\nd\tstring\n\tclass\nen\tOne.\nes\tDos.\n"
    assert list(clean.orange_table(data, "Content", Language="en")) == ["One."]


def test_a_report_is_joined_up_to_empty_lines_without_page_furniture():
    lines = ["The campaign was inter-", "ested in it.", "- 4 -", "", "U.S. Department of Justice", ""]
    lines += ["Chapter ........ 3", "Next one."]
    expected = ["The campaign was interested in it.", "Next one."]
    assert list(clean.paragraphs("\n".join(lines).encode())) == expected


def test_quotations():
    data = b'-\n  text: "Be brief."\n  author: A\n- text: Be kind.\n  likes: 3\n'
    assert list(clean.quotations(data)) == ["Be brief.", "Be kind."]


def test_asciidoc_prose():
    data = b"""= Chapter one
:chapter: 1

Words have _meaning_, and *weight*.footnote:[See "B" (https://example.org) [sic] p. 3]
[source,python]
----
>>> import something
----
// a remark
image::picture.png[alt="no"]
* A point about `snake_case` names
|===
| cell
|===
See figure <<a_figure>> and https://example.org[the site].
"""
    assert list(clean.asciidoc(data)) == [
        "Words have meaning, and weight.",
        "A point about snake_case names",
        "See figure  and the site.",
    ]


def test_page_headers_of_reports_are_dropped():
    lines = ["Attorney Work Product // May Contain Protected Material", "The report be-", "gins here.", "", "12"]
    assert list(clean.paragraphs("\n".join(lines).encode())) == ["The report begins here."]
