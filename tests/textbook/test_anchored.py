"""Each anchor beside its own hits."""

import numpy as np
import pyarrow as pa
import pytest

from hornbook.corpus import open_corpus
from hornbook.recipe import AnchoredConfig
from hornbook.retrieval import retrieve
from hornbook.retrieval.rake import keywords
from hornbook.textbook import build, open_textbook
from hornbook.textbook.kinds import anchored

WORDS = ["film", "story", "actor", "music", "plot", "scene", "voice", "camera"]


def texts_of(count, seed):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 5))) for _ in range(count)]


def rows(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


@pytest.mark.parametrize("k", [1, 3])
def test_every_anchor_stands_beside_each_of_its_hits(make_corpus, make_task, tmp_path, monkeypatch, k):
    monkeypatch.setattr(anchored, "PAGE_PAIRS", 5)
    corpus, anchors = make_corpus(texts_of(60, seed=0)), [*texts_of(12, seed=1), "it is what it is", "unheard of"]
    task = make_task(anchors)
    book = build(AnchoredConfig(k=k), corpus=corpus, task=task, out=tmp_path / "book")
    opened = open_corpus(corpus)
    units = {row["unit"]: row for row in pa.Table.from_batches(opened.batches()).to_pylist()}
    expected = set()
    for anchor in dict.fromkeys(anchors):
        if query := keywords(anchor):
            hits = retrieve(opened, [query], k)
            for rank, (unit, score) in enumerate(zip(hits.units[0].tolist(), hits.scores[0].tolist(), strict=True)):
                if unit >= 0 and units[unit]["text"] != anchor:
                    expected.add((anchor, units[unit]["text"], unit, units[unit]["source"], rank + 1, score))
    names = ("text", "text_pair", "unit", "source", "rank", "score")
    found = [tuple(row[name] for name in names) for row in rows(book)]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert [row[4] for row in found] == sorted(row[4] for row in found)
    assert book.counts["units"] + book.counts["duplicates"] == book.counts["retrieved"]


def test_a_pair_with_a_dev_text_is_removed(make_corpus, make_labelled, tmp_path):
    corpus, labels = make_corpus(["Unseen film!", "film music", "rain"]), ["good", "bad"]
    task = make_labelled(
        {"text": ["a film", "rain"], "label": labels}, {"text": ["unseen film", "x"], "label": labels}
    )
    book = build(AnchoredConfig(k=2), corpus=corpus, task=task, out=tmp_path / "book")
    assert [(row["text"], row["text_pair"]) for row in rows(book)] == [("a film", "film music")]
    assert (book.counts["contaminated"], book.counts["duplicates"]) == (1, 1)
