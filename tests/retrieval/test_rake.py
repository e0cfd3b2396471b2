import pytest
from corpora import Listed
from hypothesis import given
from hypothesis import strategies as st
from rake_nltk import Rake

from hornbook.errors import HornbookError
from hornbook.languages import LANGUAGES
from hornbook.retrieval import rake, retrieve
from hornbook.retrieval.rake import content_words, keywords, keywords_of_all, phrases
from hornbook.terms.stop_words import STOP_WORDS, stop_words

# Characters whose lower case is short, long, ASCII or hangs on their neighbours; marks, digits, signs and spaces.
ODD = "aZz1٣²_'’.,:;·‧-\u0301\u00ad\u200d\u200bΣςİßẞǅ\u212a\u212bიᲐ𐐀𝟘日😀\U00020000\0\x1c\x85\u00a0\u2028 \n\ud800"
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


texts = st.one_of(
    st.text(),
    st.text(ODD, max_size=30),
    # Few words: phrases repeat, scores tie, and one term is the start of another.
    st.lists(
        st.sampled_from(["a", "is", "The", ".", "-", "re", "red", "Red", "redder", "wine", "2", "it’s"]), max_size=40
    ).map(" ".join),
    st.lists(st.sampled_from(sorted(STOP_WORDS)), max_size=8).map(" ".join),
)


@given(st.lists(texts, max_size=6), st.integers(1, 9))
def test_many_texts_have_the_keywords_of_each(many, best):
    assert keywords_of_all(many, "rake", best) == [keywords(text, best) for text in many]
    assert keywords_of_all(many, "all", best) == [content_words(text) for text in many]


def test_every_character_breaks_texts_as_the_regular_expressions_say():
    # Terms of all characters that the core knows, and phrases for those up to the signs of Chinese.
    around = [f"x{c}y 1{c}2 {c}z _{c} q{c}\u0301{c}w x{c}{c}y {c}" for c in map(chr, range(0x20100))]
    assert keywords_of_all(around, "all") == [content_words(text) for text in around]
    between = [f"red{c}wine {c} white" for c in map(chr, range(0x3040))]
    assert keywords_of_all(between) == [keywords(text) for text in between]


def test_neither_batches_nor_a_missing_core_change_keywords(monkeypatch):
    many = ["Old red wine, white bread", "", "Magic systems", "of the", "ΣΑΣ wine", "red wine"] * 3
    expected = [keywords(text, 1) for text in many]
    monkeypatch.setattr(rake, "BATCH_TEXTS", 4)
    assert keywords_of_all(many, best=1) == expected
    monkeypatch.setenv("HORNBOOK_KERNELS", "reference")
    assert keywords_of_all(many, best=1) == expected
    assert keywords_of_all(many, "all") == [content_words(text) for text in many]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("AT&T is a firm", ["at", "t", "firm"]),
        ("The S&P fell, R&D rose", ["s", "p", "fell", "r", "d", "rose"]),
        ("a Q&A at H&M", ["q", "a", "h", "m"]),
        ("AT&amp;T's plan", ["at", "t's", "plan"]),
        ("you & me, him&her, & t & co", ["co"]),
        ("C++, C#, F# and .NET", ["c", "c", "f", "net"]),
    ],
)
def test_names_with_an_ampersand_keep_parts_that_are_stop_words(text, found):
    assert content_words(text) == found
    assert sorted(keywords(text)) == sorted(found)
    assert keywords_of_all([text], "all") == [found]
    assert keywords_of_all([f"{text} é"], "all") == [[*found, "é"]]
    assert keywords_of_all([text]) == [keywords(text)]


def test_a_name_with_an_ampersand_is_one_phrase():
    assert phrases("AT&T Wireless is big")[0] == (9.0, ("at", "t", "wireless"))
    assert phrases("bread&butter") == [(1.0, ("butter",)), (1.0, ("bread",))]


def test_the_unit_with_the_name_is_found():
    texts = ["He said at the end that he can't.", "The AT&T plan is good.", "S&P fell.", "It 's at p 3."]
    hits = retrieve(Listed(texts, ids=range(4)), keywords_of_all(["about AT&T", "the S&P"]), 1)
    assert hits.units.ravel().tolist() == [1, 2]


@pytest.mark.parametrize("how", ["rake", "all"])
def test_markup_gives_no_keyword_and_what_cannot_be_seen_changes_none(how):
    text = "A warm film.<br /><br /><a href='http://x.y/film'>Red</a> wine &amp; br&eacute;ad &lt;3 <user>"
    assert keywords_of_all([text], how) == keywords_of_all(["A warm film. | Red wine & bréad | 3 . user"], how)
    hidden = "un ténor à l'op\xade\u200bra".replace("é", "e\u0301")
    assert keywords_of_all([hidden], how) == keywords_of_all(["un ténor à l'opera"], how)


def test_all_content_words_stay_in_order_and_repeat():
    assert content_words("The wine, the red wine and 3.5 others: don't!") == ["wine", "red", "wine", "3.5", "others"]


def test_no_phrases_at_all_cannot_be_asked_for():
    with pytest.raises(HornbookError, match="at least 1"):
        keywords_of_all(["red wine"], best=0)


@given(st.data(), st.sampled_from(sorted(LANGUAGES)))
def test_no_keyword_is_a_stop_word_of_its_language(data, language):
    word = st.sampled_from(
        [*sorted(stop_words(language))[:60], "Haus", "nicht", "книга", "किताब", "βιβλίο", "L’été", ",", "."]
    )
    texts = data.draw(st.lists(st.lists(word, max_size=12).map(" ".join), max_size=5))
    assert keywords_of_all(texts, "rake", 3, language) == [keywords(text, 3, language) for text in texts]
    found = keywords_of_all(texts, "all", language=language)
    assert found == [content_words(text, language) for text in texts]
    assert not stop_words(language) & {one for words in found for one in words}
