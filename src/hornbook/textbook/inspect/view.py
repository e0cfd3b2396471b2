"""A view into a textbook: the units that anchors retrieve and which of them it contains, or a sample of its units."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hornbook.corpus import Corpus, open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import ContextualizedConfig
from hornbook.retrieval import keywords_of_all, retrieve
from hornbook.store import Artifact, load
from hornbook.tasks import open_task
from hornbook.terms.words import places
from hornbook.textbook.store import Textbook

CONTEXTUALIZED = "contextualized"


@dataclass(frozen=True)
class Hit:
    """A unit that an anchor retrieves.

    Attributes:
        unit: the id in the corpus.
        rank: the rank for the anchor, from 1.
        score: the BM25 score for the anchor.
        source: the name of the source.
        text: the text.
        matches: the spans of the anchor's terms in the text: start and end, in characters.
        in_textbook: whether the textbook contains it.
        anchors: the number of the task's anchors that retrieved it; None if it is not in the textbook.
    """

    unit: int
    rank: int
    score: float
    source: str
    text: str
    matches: tuple[tuple[int, int], ...]
    in_textbook: bool
    anchors: int | None


@dataclass(frozen=True)
class Anchor:
    """An anchor and what it retrieves.

    Attributes:
        text: the text of the anchor.
        keywords: the query; empty if the anchor has only stop words.
        hits: the number of units retrieved, k at most.
        units: the best of them.
    """

    text: str
    keywords: tuple[str, ...]
    hits: int
    units: tuple[Hit, ...]


@dataclass(frozen=True)
class View:
    """A view into a textbook.

    Attributes:
        textbook: the textbook.
        asked: whether the anchor was given; otherwise anchors or units are sampled.
        anchors: for a contextualized textbook: anchors and what they retrieve.
        units: for others: the non-null columns of `store.SCHEMA` for some units.
    """

    textbook: Textbook
    asked: bool
    anchors: tuple[Anchor, ...] = ()
    units: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the view as JSON values."""
        shown: dict[str, Any] = {"textbook": str(self.textbook.artifact.path), "kind": self.textbook.kind}
        if self.textbook.kind == CONTEXTUALIZED:
            return {**shown, "anchors": [asdict(anchor) for anchor in self.anchors]}
        return {**shown, "units": list(self.units)}


def view(
    textbook: Textbook,
    *,
    anchor: str | None = None,
    random: int | None = None,
    units: int = 10,
    seed: int = 0,
    corpus: str | None = None,
    task: str | None = None,
) -> View:
    """Look inside a textbook.

    A textbook does not store which anchor retrieved which unit: retrieval runs again with the textbook's settings.

    Args:
        textbook: a textbook of any kind.
        anchor: any text (contextualized textbooks only).
        random: the number of random anchors of the task, or of units for kinds without anchors; default 5.
        units: the maximum number of units per anchor.
        seed: the random seed.
        corpus: the corpus, if it was moved since the textbook was built.
        task: the prepared task, if it was moved.

    Returns:
        The anchors or units to show.

    Raises:
        HornbookError: both an anchor and a number are given, the anchor has no keyword, the kind has no anchors, or
            the corpus or the task is not found.
    """
    if anchor is not None and random is not None:
        raise HornbookError("give an anchor or a number of random ones, not both")
    count = 5 if random is None else random
    if textbook.kind != CONTEXTUALIZED:
        if anchor is not None:
            about = f"{textbook.artifact.path}: a textbook of kind {textbook.kind} has no anchors"
            raise HornbookError(f"{about}; leave the anchor out to see random units")
        return View(textbook, False, units=_sample(textbook, count, seed))
    opened = open_corpus(_made_from(textbook, "corpus", corpus))
    if anchor is not None:
        retrieved = hits_of(textbook, opened, [anchor], units)
        if not retrieved[0].keywords:
            raise HornbookError(f"the anchor {anchor!r} has no keyword other than stop words; give a longer one")
        return View(textbook, True, anchors=retrieved)
    anchors = open_task(_made_from(textbook, "task", task)).anchors()
    chosen = np.random.default_rng(seed).permutation(len(anchors))[:count]
    return View(textbook, False, anchors=hits_of(textbook, opened, [anchors[i] for i in chosen], units))


def hits_of(textbook: Textbook, corpus: Corpus, anchors: Sequence[str], units: int) -> tuple[Anchor, ...]:
    """Return the units that anchors retrieve with the settings of a contextualized textbook.

    Args:
        textbook: a textbook built from this corpus.
        corpus: the corpus.
        anchors: any texts.
        units: the maximum number of units to return per anchor.

    Returns:
        One for each anchor; without hits if it has no keyword.
    """
    config = ContextualizedConfig.model_validate(textbook.artifact.manifest["config"])
    queries = keywords_of_all(anchors, config.keywords, config.phrases, corpus.language)
    hits = retrieve(corpus, [query for query in queries if query], textbook.artifact.counts["k"], config.k1, config.b)
    best = hits.cut(units)
    ids = np.unique(best.units[best.units >= 0])
    rows = {row["unit"]: row for row in corpus.texts(ids).to_pylist()}
    anchors_of = _anchors_of(textbook, ids.tolist())
    found = []
    numbers = iter(range(len(hits.units)))
    for text, query in zip(anchors, queries, strict=True):
        if not query:
            found.append(Anchor(text, (), 0, ()))
            continue
        number = next(numbers)
        terms = set(corpus.analysis.query(query))
        scored = zip(best.units[number].tolist(), best.scores[number].tolist(), strict=True)
        shown = tuple(
            Hit(
                unit=unit,
                rank=rank,
                score=score,
                source=rows[unit]["source"],
                text=rows[unit]["text"],
                matches=_matches(corpus, terms, rows[unit]["text"]),
                in_textbook=unit in anchors_of,
                anchors=anchors_of.get(unit),
            )
            for rank, (unit, score) in enumerate(scored, 1)
            if unit >= 0
        )
        found.append(Anchor(text, tuple(query), int((hits.units[number] >= 0).sum()), shown))
    return tuple(found)


def _matches(corpus: Corpus, terms: set[str], text: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of the words with one of these terms."""
    words = places(text)
    terms_of_words = corpus.analysis.terms([word for word, _, _ in words])
    return tuple((start, end) for (_, start, end), term in zip(words, terms_of_words, strict=True) if term in terms)


def _anchors_of(textbook: Textbook, ids: Sequence[int]) -> dict[int, int]:
    """Return the number of anchors that retrieved each of the units, for those in the textbook."""
    found: dict[int, int] = {}
    values = pa.array(ids, pa.int64())
    for batch in textbook.batches(["unit", "anchors"]):
        present = batch.filter(pc.is_in(batch.column("unit"), values))
        found |= zip(present.column("unit").to_pylist(), present.column("anchors").to_pylist(), strict=True)
    return found


def _sample(textbook: Textbook, count: int, seed: int) -> tuple[dict[str, Any], ...]:
    """Return the non-null columns of random units, in their order."""
    rows = np.sort(np.random.default_rng(seed).permutation(textbook.units)[:count])
    found: list[dict[str, Any]] = []
    start = 0
    for batch in textbook.batches():
        inside = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
        found += pa.Table.from_batches([batch]).take(pa.array(inside)).to_pylist()
        start += batch.num_rows
    return tuple({name: value for name, value in row.items() if value is not None} for row in found)


def _made_from(textbook: Textbook, role: Literal["corpus", "task"], given: str | None) -> Artifact:
    """Return the corpus or the task of a textbook, from the given location or from where it was.

    Raises:
        HornbookError: it is not there, or it is another one.
    """
    made = textbook.artifact
    location = given or made.measured.get("made_from", {}).get(role)
    advice = f"give the {role} of {made.path} with --{role}"
    if location is None:
        raise HornbookError(f"{made.path}: built by an earlier version, which stored no paths; {advice}")
    try:
        found = load(location, role)
    except HornbookError as error:
        raise HornbookError(f"{error}; {advice}") from None
    if found.key != made.manifest["inputs"][role]:
        raise HornbookError(f"{location}: is not the {role} from which the textbook was built; {advice}")
    return found
