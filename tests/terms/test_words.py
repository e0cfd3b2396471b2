import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.terms.stop_words import STOP_WORDS
from hornbook.terms.words import END, is_term, places, terms, terms_of_all, tokens

# What Elasticsearch's documentation and the Unicode Standard Annex 29 (rules WB5 to WB13) say.
BROKEN = [
    ("The 2 QUICK Brown-Foxes jumped over the lazy dog's bone.",
     ["the", "2", "quick", "brown", "foxes", "jumped", "over", "the", "lazy", "dog's", "bone"]),
    ("Don't pay $3.14 or 1,000!", ["don't", "pay", "3.14", "or", "1,000"]),
    ("U.S.A. e.g. this", ["u.s.a", "e.g", "this"]),
    ("it’s O’Neil’s", ["it’s", "o’neil’s"]),
    ("'quoted' ''twice''", ["quoted", "twice"]),
    ("does n't they 're", ["does", "n't", "they", "re"]),
    ("at 12:30 section:two", ["at", "12", "30", "section:two"]),
    ("a.3 3.a b2b 4x4", ["a", "3", "3", "a", "b2b", "4x4"]),
    ("snake_case __ _lead", ["snake_case", "_lead"]),
    ("cafe\u0301.bar nai\u0308ve", ["cafe\u0301.bar", "nai\u0308ve"]),
    ("end.Next one,two 1.,2", ["end.next", "one", "two", "1", "2"]),
    ("हिन्दी में", ["हिन्दी", "में"]),
    ("...!? -- \u0301", []),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_terms_are_unicode_words(text, expected):
    assert terms(text) == expected


def test_tokens_keep_marks_one_by_one():
    assert tokens("Stop... (no, 3.5!)") == ["stop", ".", ".", ".", "(", "no", ",", "3.5", "!", ")"]


@given(st.text())
def test_tokens_are_terms_and_single_signs(text):
    found = tokens(text)
    assert [token for token in found if is_term(token)] == terms(text)
    assert all(len(token) == 1 for token in found if not is_term(token))
    assert "".join(found) == "".join(text.lower().split())


@given(st.lists(st.text(st.sampled_from("ab.,'1_ \0\n’\u0301-Σ"), max_size=12), max_size=6))
def test_many_texts_at_once_equal_one_by_one(texts):
    expected = [term for text in texts for term in [*terms(text), END]]
    assert terms_of_all(texts) == expected


def test_stop_words_are_single_lower_case_terms():
    assert all(terms(word) == [word] for word in STOP_WORDS)
    assert {"the", "don't", "don’t", "n't", "of"} <= STOP_WORDS
    assert not {"good", "film", "three", "time"} & STOP_WORDS


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("İΣσ aé.'1")), max_size=20))
def test_places_are_those_of_the_terms_in_the_text_as_written(text):
    found = places(text)
    assert [word for word, _, _ in found] == terms(text)
    at = 0
    for word, start, end in found:
        assert at <= start < end <= len(text)
        # A word may end within the lower case of one character.
        assert text[start:end].lower().replace("ς", "σ").startswith(word.replace("ς", "σ"))
        at = end


def test_places_behind_a_character_of_a_longer_lower_case():
    text = "İİ Cats, CATS"
    assert [text[start:end] for word, start, end in places(text) if word == "cats"] == ["Cats", "CATS"]
