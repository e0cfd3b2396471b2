import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.recipe import GeneralConfig, TaskTextConfig
from hornbook.tasks import open_task
from hornbook.textbook import build
from hornbook.textbook.contamination import Finder, held_out, normalised, screened
from hornbook.textbook.inspect.statistics import statistics
from hornbook.textbook.store import SCHEMA

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
LONG = "the film is a warm and bright story of the river"


def holds(unit: str, text: str) -> bool:
    """The rule word by word."""
    words, own = normalised(unit), normalised(text)
    if not own:
        return False
    if len(own) < 6:
        return words == own
    size = min(len(own), 13)
    return any(
        words[i : i + size] == own[j : j + size] for i in range(len(words)) for j in range(len(own) - size + 1)
    )


@pytest.mark.parametrize(
    ("unit", "text", "found"),
    [
        ("A dull film.", "a dull film", True),
        ("A dull film, really.", "a dull film", False),  # a short text must be the whole unit
        (f"Yes: {LONG}, she said.", LONG, True),
        (LONG.replace("warm", "cold"), LONG, False),
        (LONG.upper(), LONG, True),
        ("don't say it's dull", "do n't say it 's dull", True),  # as SST-2 writes it
        ("", "a dull film", False),
        ("A nai\u0308ve cafe\u0301", "a na\u00efve caf\u00e9", True),  # letters and marks, or both in one
        ("नमस्ते दुनिया", "नमस्ते दुनिया!", True),
        ("नमस्त दुनिया", "नमस्ते दुनिया", False),  # a vowel sign is part of a word
        ("A na\u00advi\u200be fi\ufb01lm", "A navie fi\ufb01lm".replace("\ufb01", "fi"), True),
        ("It’s a “warm” film—isn‘t it", "It's a \"warm\" film - isn't it", True),
        ("STRASSE in İSTANBUL", "Straße in istanbul", True),
        ("a\xa0dull\u3000film", "a dull film", True),
        (LONG.replace(" bright", "<!-- a note --> bright"), LONG, True),
        ("Le cœur et la sœur ont une œuvre", "le coeur et la soeur ont une oeuvre", True),
        ("Ο ΛΟΓΟΣ ΤΟΥ ΑΝΘΡΩΠΟΥ ΕΙΝΑΙ ΣΑΦΗΣ", "ο λόγος του ανθρώπου είναι σαφής", True),
        ("كتـــاب جميل جدا", "كتاب جميل جدا", True),
        ("昨天我说这部电影非常好看所以再看", "这部电影非常好看。", True),
        ("这部 电影 非常 好看", "这部电影非常好看", True),
        ("这部电影非常难看", "这部电影非常好看", False),
        ("好电影吗", "好电影", False),  # a short text must be the whole unit
        ("a dull film.<br /><br />", "A &quot;dull&quot; film.", True),
        (
            "the f\u200di\u200clm is\u200e a\ufe0f w\u034farm and bright story",
            "the film is a warm and bright story",
            True,
        ),
        ("a b c d e f g h i j k l m x", "y a b c d e f g h i j k l m z", True),  # thirteen words in common
        ("a b c d e f g h i j k l x", "y a b c d e f g h i j k l m z", False),  # twelve
    ],
)
def test_what_counts_as_holding_a_text(unit, text, found):
    assert Finder([text]).found([unit]).tolist() == [found]
    assert holds(unit, text) == found


texts = st.lists(st.lists(st.sampled_from("abc"), max_size=18).map(" ".join), max_size=12)


@given(units=texts, held=texts)
def test_equals_the_rule_word_by_word(units, held):
    finder = Finder(held)
    assert finder.found(units).tolist() == [any(holds(unit, text) for text in held) for unit in units]
    named = dict(finder.texts_in(units))
    assert named == {
        row: numbers
        for row, unit in enumerate(units)
        if (numbers := {number for number, text in enumerate(held) if holds(unit, text)})
    }


WRITTEN = st.lists(
    st.sampled_from(
        ["café", "Straße", "İzmir", "ΣΑΣ", "film", "don't", "ﬁne", "½", "naïve", "हिन्दी", "각", "a-b", "x"]
    ),
    min_size=1,
    max_size=16,
).map(" ".join)
UNSEEN = st.sampled_from(
    "\xad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u202e\u2060\u2069\u3164\ufe0f\ufeff\uffa0\x00\U000e0041"
)


@given(WRITTEN, st.lists(st.tuples(st.integers(0, 99), UNSEEN), max_size=9), st.sampled_from(FORMS), st.booleans())
def test_a_text_is_found_however_it_is_written(text, hidden, form, upper):
    other = unicodedata.normalize(form, text.upper() if upper else text).replace("'", "’").replace(" ", "\xa0")
    for place, sign in hidden:
        other = other[:place] + sign + other[place:]
    for unit, held in ((text, other), (other, text)):
        assert Finder([held]).found([unit]).tolist() == [True]


def units_of(rows):
    nothing = dict.fromkeys(SCHEMA.names)
    return pa.Table.from_pylist([nothing | row for row in rows], SCHEMA)


def test_units_and_pairs_are_left_out_and_counted():
    tables = [
        units_of([{"text": "a dull film"}, {"text": "a good film"}]),
        units_of([{"text": "x", "text_pair": "a dull film"}, {"text": "a dull film", "text_pair": "y"}]),
        units_of([{"text": "z"}]),
    ]
    counts = {}
    left = list(screened(tables, Finder(["a dull film"]), counts))
    assert [table["text"].to_pylist() for table in left] == [["a good film"], [], ["z"]]
    assert counts == {"contaminated": 3}


def test_statistics_count_what_a_build_removes(make_corpus, make_labelled, tmp_path):
    hidden = [text.replace("e", "e\xad") for text in ("yes", "a new film")]
    labels = ["good", "bad"]
    task = make_labelled({"text": ["film", "song"], "label": labels}, dev={"text": hidden, "label": labels})
    corpus = make_corpus(["Yes", "a ne\u200bw film", "a song"])
    removed, kept = (
        build(GeneralConfig(units=3, contamination=what), corpus=corpus, task=task, out=tmp_path / what)
        for what in ("remove", "keep")
    )
    assert removed.counts["contaminated"] == 2
    assert [book["contamination"] for book in statistics([kept, removed], task)["books"]] == [
        {"units": 2, "found": 2, "texts": 2},
        {"units": 0, "found": 0, "texts": 2},
    ]


def test_every_split_but_train_is_held_out(make_task):
    assert held_out(open_task(make_task(["film", "song"]))) == ["yes", "no"]


def test_a_textbook_is_built_without_them_or_with_them(make_corpus, make_task, tmp_path):
    corpus, task = make_corpus(["yes", "a film", "a song", "no"]), make_task(["film", "yes"])
    removed = build(GeneralConfig(units=4), corpus=corpus, task=task, out=tmp_path / "removed")
    kept = build(GeneralConfig(units=4, contamination="keep"), corpus=corpus, task=task, out=tmp_path / "kept")
    unchecked = build(GeneralConfig(units=4), corpus=corpus, out=tmp_path / "unchecked")
    assert (removed.counts["units"], removed.counts["contaminated"]) == (2, 2)
    assert (kept.counts["units"], unchecked.counts["units"]) == (4, 4)
    assert [book.info["contamination"] for book in (removed, kept, unchecked)] == [
        "removed",
        "not checked",
        "not checked",
    ]


def test_where_they_are_kept_in_a_textbook_about_the_task_they_are_counted(make_task, tmp_path):
    task = make_task(["a film", "yes", "no"])
    kept = build(TaskTextConfig(contamination="keep"), task=task, out=tmp_path / "kept")
    removed = build(TaskTextConfig(), task=task, out=tmp_path / "removed")
    assert (kept.counts["units"], kept.counts["contaminated"], kept.info["contamination"]) == (3, 2, "kept")
    assert (removed.counts["units"], removed.counts["contaminated"]) == (1, 2)


def test_nothing_left_says_why(make_corpus, make_task, tmp_path):
    corpus, task = make_corpus(["yes", "no"]), make_task(["yes", "film"])
    with pytest.raises(HornbookError, match="all 2 units contain dev or test texts of the task; set contamination"):
        build(GeneralConfig(units=2), corpus=corpus, task=task, out=tmp_path / "book")
