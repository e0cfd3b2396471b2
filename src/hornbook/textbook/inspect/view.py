"""A look inside a textbook: what an anchor draws and what of it the textbook holds, or some of its units."""

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
class Drawn:
    """A unit that an anchor draws.

    Attributes:
        unit: its id in the corpus.
        rank: among the units that the anchor draws, from 1.
        score: its BM25 score for the anchor.
        source: where it is from.
        text: what it says.
        matches: where the anchor's terms stand in the text: start and end, in characters.
        in_textbook: whether the textbook holds it.
        anchors: how many of the task's anchors draw it; None where the textbook does not hold it.
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
    """An anchor and what it draws.

    Attributes:
        text: the anchor.
        keywords: its query; empty where it holds nothing but stop words.
        hits: how many units it draws, k at most.
        units: the best of them.
    """

    text: str
    keywords: tuple[str, ...]
    hits: int
    units: tuple[Drawn, ...]


@dataclass(frozen=True)
class View:
    """What is shown of a textbook.

    Attributes:
        textbook: the textbook.
        asked: whether the anchor was given; else the anchors, or the units, were drawn at random.
        anchors: of a contextualized textbook, anchors and what they draw.
        units: of another, what is known of some units, by the columns of `store.SCHEMA`.
    """

    textbook: Textbook
    asked: bool
    anchors: tuple[Anchor, ...] = ()
    units: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
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

    A textbook does not hold which anchor drew what, so anchors are searched for again, as they were when it was made.

    Args:
        textbook: of any kind.
        anchor: any text; of contextualized textbooks only.
        random: so many anchors of the task, or units where no anchor drew them; 5 where no anchor is given either.
        units: how many of the units that an anchor draws.
        seed: of what is drawn at random.
        corpus: where the corpus lies, if not where it lay when the textbook was made.
        task: where the prepared task lies, if not where it lay.

    Raises:
        HornbookError: both an anchor and a number were given, the anchor has no keyword, the textbook is of a kind
            without anchors, or its corpus or task is not where it should be.
    """
    if anchor is not None and random is not None:
        raise HornbookError("give an anchor, or how many are drawn at random, not both")
    count = 5 if random is None else random
    if textbook.kind != CONTEXTUALIZED:
        if anchor is not None:
            raise HornbookError(
                f"{textbook.artifact.path}: no anchor drew the units of this textbook of kind {textbook.kind}; "
                "leave the anchor out to see units at random"
            )
        return View(textbook, False, units=_some_units(textbook, count, seed))
    held = open_corpus(_made_from(textbook, "corpus", corpus))
    if anchor is not None:
        found = draws(textbook, held, [anchor], units)
        if not found[0].keywords:
            raise HornbookError(f"the anchor {anchor!r} has no keyword left without stop words; give a longer one")
        return View(textbook, True, anchors=found)
    every = open_task(_made_from(textbook, "task", task)).anchors()
    chosen = np.random.default_rng(seed).permutation(len(every))[:count]
    return View(textbook, False, anchors=draws(textbook, held, [every[i] for i in chosen], units))


def draws(textbook: Textbook, corpus: Corpus, anchors: Sequence[str], units: int) -> tuple[Anchor, ...]:
    """Return what anchors draw from the corpus by the settings of a contextualized textbook.

    Args:
        textbook: made from this corpus.
        corpus: what is searched.
        anchors: any texts.
        units: how many of the units that each draws are returned.
    """
    config = ContextualizedConfig.model_validate(textbook.artifact.manifest["config"])
    queries = keywords_of_all(anchors, config.keywords, config.phrases)
    asked = [query for query in queries if query]
    hits = retrieve(corpus, asked, textbook.artifact.counts["k"], config.k1, config.b)
    best = hits.cut(units)
    ids = np.unique(best.units[best.units >= 0])
    rows = {row["unit"]: row for row in corpus.texts(ids).to_pylist()}
    drawn_by = _drawn_by(textbook, ids.tolist())
    found = []
    numbers = iter(range(len(asked)))
    for text, query in zip(anchors, queries, strict=True):
        if not query:
            found.append(Anchor(text, (), 0, ()))
            continue
        number = next(numbers)
        wanted = set(corpus.analysis.query(query))
        scored = zip(best.units[number].tolist(), best.scores[number].tolist(), strict=True)
        drawn = tuple(
            Drawn(
                unit=unit,
                rank=rank,
                score=score,
                source=rows[unit]["source"],
                text=rows[unit]["text"],
                matches=_matches(corpus, wanted, rows[unit]["text"]),
                in_textbook=unit in drawn_by,
                anchors=drawn_by.get(unit),
            )
            for rank, (unit, score) in enumerate(scored, 1)
            if unit >= 0
        )
        found.append(Anchor(text, tuple(query), int((hits.units[number] >= 0).sum()), drawn))
    return tuple(found)


def _matches(corpus: Corpus, wanted: set[str], text: str) -> tuple[tuple[int, int], ...]:
    """Return where the words stand whose terms are wanted."""
    words = places(text)
    terms = corpus.analysis.terms([word for word, _, _ in words])
    return tuple((start, end) for (_, start, end), term in zip(words, terms, strict=True) if term in wanted)


def _drawn_by(textbook: Textbook, ids: Sequence[int]) -> dict[int, int]:
    """Return, for those of the units that a textbook holds, how many anchors drew them."""
    found: dict[int, int] = {}
    wanted = pa.array(ids, pa.int64())
    for batch in textbook.batches(["unit", "anchors"]):
        kept = batch.filter(pc.is_in(batch.column("unit"), wanted))
        found |= zip(kept.column("unit").to_pylist(), kept.column("anchors").to_pylist(), strict=True)
    return found


def _some_units(textbook: Textbook, count: int, seed: int) -> tuple[dict[str, Any], ...]:
    """Return units at random, in their order; what is not known of them is left out."""
    rows = np.sort(np.random.default_rng(seed).permutation(textbook.units)[:count])
    found: list[dict[str, Any]] = []
    start = 0
    for batch in textbook.batches():
        inside = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
        found += pa.Table.from_batches([batch]).take(pa.array(inside)).to_pylist()
        start += batch.num_rows
    return tuple({name: value for name, value in row.items() if value is not None} for row in found)


def _made_from(textbook: Textbook, role: Literal["corpus", "task"], given: str | None) -> Artifact:
    """Return the corpus or the task of a textbook, from where it is given, else from where it lay.

    Raises:
        HornbookError: it is not there, or another is.
    """
    made = textbook.artifact
    place = given or made.measured.get("made_from", {}).get(role)
    say = f"say with --{role} where the {role} of {made.path} lies"
    if place is None:
        raise HornbookError(f"{made.path}: made by an earlier version, which kept no paths; {say}")
    try:
        found = load(place, role)
    except HornbookError as error:
        raise HornbookError(f"{error}; {say}") from None
    if found.key != made.manifest["inputs"][role]:
        raise HornbookError(f"{place}: is not the {role} from which the textbook was made; {say}")
    return found
