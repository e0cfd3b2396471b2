import pytest
from hypothesis import given
from hypothesis import strategies as st
from rake_nltk import Rake

from hornbook.retrieval.rake import keywords, phrases
from hornbook.terms.stop_words import STOP_WORDS

MARKS = [".", ",", "!", "?", ";", "(", ")", "-", '"', "…"]


def test_every_phrase_of_words_seen_once_scores_its_length_squared():
    # The start of the abstract in Rose et al. (2010): a word seen once, in a phrase of n words, has degree n and
    # frequency 1, so a phrase of n such words scores n * n. Ties: last in the alphabet first.
    text = "Compatibility of systems of linear constraints over the set of natural numbers."
    assert phrases(text) == [
        (4.0, ("natural", "numbers")),
        (4.0, ("linear", "constraints")),
        (1.0, ("systems",)),
        (1.0, ("set",)),
        (1.0, ("compatibility",)),
    ]


def test_degree_over_frequency_by_hand():
    # Phrases: deep learning beats shallow learning | learning | slow.
    # learning: degree 5 + 5 + 1 = 11, frequency 3; deep, beats, shallow: degree 5, frequency 1; slow: 1 / 1.
    # First phrase: 5 + 11/3 + 5 + 5 + 11/3 = 22.333…
    ranked = phrases("Deep learning beats shallow learning, but learning is slow.")
    assert [phrase for _, phrase in ranked] == [
        ("deep", "learning", "beats", "shallow", "learning"),
        ("learning",),
        ("slow",),
    ]
    assert [score for score, _ in ranked] == pytest.approx([15 + 22 / 3, 11 / 3, 1])


def test_repeated_phrases_are_kept():
    # magic systems | company | magic systems: magic and systems have degree 4, frequency 2, so 2 + 2 each time.
    ranked = phrases("Magic systems is a company. Magic systems")
    assert ranked == [(4.0, ("magic", "systems")), (4.0, ("magic", "systems")), (1.0, ("company",))]


@pytest.mark.parametrize("mark", [",", ". ", " -- ", "…", '",', " $", "\n-"])
def test_any_mark_ends_a_phrase_and_never_leaks_into_one(mark):
    assert {phrase for _, phrase in phrases(f"red wine{mark}white bread")} == {("red", "wine"), ("white", "bread")}


def test_keywords_count_as_often_as_they_stand_in_the_best_phrases():
    text = "Magic systems is a company. Magic systems"
    assert keywords(text) == ["magic", "systems", "magic", "systems", "company"]
    assert keywords(text, 1) == ["magic", "systems"]


@pytest.mark.parametrize("text", ["", "It is what it is.", "?!", "don't they've n't"])
def test_text_without_content_has_no_keyword(text):
    assert keywords(text) == []


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["red", "Green", "blue", "mail", "rock'n'roll", "3.14"]),
            st.sampled_from(sorted(STOP_WORDS)[:30]),
            st.sampled_from(MARKS),
        ),
        max_size=40,
    )
)
def test_equals_rake_nltk(words):
    text = " ".join(words)
    theirs = Rake(
        stopwords=set(STOP_WORDS),
        punctuations=set(MARKS),
        sentence_tokenizer=lambda whole: [whole],
        word_tokenizer=str.split,
    )
    theirs.extract_keywords_from_text(text)
    ours = [(score, " ".join(phrase)) for score, phrase in phrases(text)]
    assert ours == theirs.get_ranked_phrases_with_scores()
