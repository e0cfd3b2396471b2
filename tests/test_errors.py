import difflib

from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import nearest, one_line

NAMES = st.lists(st.text("abc", max_size=4), max_size=5)


@given(st.text("ab \n\t\r\v\x85\u2028", max_size=12))
def test_one_line_has_no_line_break_and_the_same_words(text):
    line = one_line(ValueError(text))
    assert len(line.splitlines()) <= 1
    assert line.split() == text.split()


def test_one_line_is_cut_in_the_middle():
    assert one_line("a\n  b\tc", 5) == "a b c"
    assert one_line("abcdefghij\nklmnopqrst", 12) == "abcde … qrst"


@given(st.text("abc", min_size=1, max_size=4), NAMES)
def test_the_nearest_name_is_the_most_similar_one(name, names):
    found = nearest(name, iter(names))
    assert (found is None) == (not names)
    if found is not None:
        similar = {other: difflib.SequenceMatcher(None, other, name).ratio() for other in names}
        assert similar[found] == max(similar.values())


def test_nothing_is_near_enough():
    assert nearest("tokens", ["batch"], cutoff=0.6) is None
    assert nearest("tokns", ["batch", "tokens"], cutoff=0.6) == "tokens"
