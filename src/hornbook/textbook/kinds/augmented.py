"""Augmented text: the task's own texts with words replaced by likely ones (TinyBERT, Jiao et al. 2020).

What may stand for a word is found first (`candidates`, `vectors`); the variants drawn from it are made here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from hornbook.machine.progress import progress
from hornbook.recipe import AugmentedConfig
from hornbook.store import Artifact, StageContext, fingerprint
from hornbook.tasks import Task
from hornbook.textbook.augmentation.candidates import Candidates, open_candidates
from hornbook.textbook.augmentation.vectors import read_vectors
from hornbook.textbook.kinds.task_text import table_of_rows

PAGE_ROWS = 1_000

Slots = Mapping[int, Sequence[str]]
"""The words that may be replaced, by their index in the text, and what may stand for each."""


def inputs(config: AugmentedConfig, candidates: Artifact) -> Mapping[str, str]:
    """Return the keys of the candidates and the vectors.

    Raises:
        HornbookError: there is no file of vectors.
    """
    vectors = {"vectors": fingerprint([Path(config.vectors)])} if config.vectors is not None else {}
    return {"candidates": candidates.key, **vectors}


def units(config: AugmentedConfig, task: Task, proposed: Artifact, context: StageContext) -> Iterator[pa.Table]:
    """Yield each text of train and its variants, in the order of train, with labels and pairs.

    Of a pair first the one text is varied, then the other; meanwhile the other stays as it is, in `mode: reference`
    as its last variant is.

    Args:
        config: how many variants, and how they are made.
        task: whose texts they are.
        proposed: the candidates for words, from `candidates.propose`.
        work: what is known of the textbook. Counts: cases (rows of train), variants (units beyond these), and of the
            distinct texts cut, words_replaceable, words_masked (asked of the model) and words_by_vectors.

    Raises:
        HornbookError: the vectors cannot be read.
    """
    candidates = open_candidates(proposed)
    near = _near(config, candidates, context)
    context.counts |= {name: proposed.counts[name] for name in ("cut", "words_replaceable", "words_masked")}
    proposals = _Proposals(config, candidates, near)
    train = task.split("train")
    context.counts |= {"cases": len(train), "variants": -len(train)}
    with progress("Making variants", len(train), "cases") as counter:
        for start in range(0, len(train), PAGE_ROWS):
            page = train.slice(start, PAGE_ROWS)
            cases: list[tuple[str, str | None]] = []
            rows: list[int] = []
            both = zip(page.column("text").to_pylist(), page.column("text_pair").to_pylist(), strict=True)
            for row, (text, pair) in enumerate(both):
                first = proposals.texts(text, (config.seed, start + row, 0))
                second = [None] if pair is None else proposals.texts(pair, (config.seed, start + row, 1))
                cases += _cases(first, second, config.mode)
                rows += [row] * (len(cases) - len(rows))
            table = table_of_rows(task, page).take(pa.array(rows))
            for column, name in enumerate(("text", "text_pair")):
                varied = pa.array([case[column] for case in cases], pa.string())
                table = table.set_column(table.column_names.index(name), name, varied)
            context.counts["variants"] += len(rows)
            yield table
            counter.advance(len(page))


def variants(
    text: str,
    words: Sequence[str],
    slots: Slots,
    config: AugmentedConfig,
    random: np.random.Generator,
) -> list[str]:
    """Return a text and its variants: words joined by spaces, each of another wording.

    As many times as variants are wanted, each word in a slot is replaced with probability p by one of its candidates,
    drawn uniformly. A variant that was there before is not kept. In `mode: reference` only the text as it stands
    counts as having been there: unless its words are joined by single spaces already, a variant may have no word
    replaced, as in TinyBERT's script.

    Args:
        text: the text as it stands.
        words: its words.
        slots: those that may be replaced.
        config: variants, probability and mode.
        random: what is drawn from.
    """
    known = {text, " ".join(words)} if config.mode == "clean" else {text}
    found = [text]
    choices = list(slots.values())
    replaced, drawn = random.random((2, config.variants, len(slots)))
    picks = (drawn * np.array([len(choice) for choice in choices])).astype(np.int64)
    for chosen, picked in zip((replaced < config.probability).tolist(), picks.tolist(), strict=True):
        variant = list(words)
        for place, choice, is_chosen, pick in zip(slots, choices, chosen, picked, strict=True):
            if is_chosen:
                variant[place] = choice[pick]
        joined = " ".join(variant)
        if joined not in known:
            known.add(joined)
            found.append(joined)
    return found


class _Proposals:
    """What may stand for the words of each text."""

    def __init__(self, config: AugmentedConfig, candidates: Candidates, near: Mapping[str, Sequence[str]]) -> None:
        self._config, self._candidates, self._near = config, candidates, near
        dropped = candidates.special if config.mode == "clean" else [False] * len(candidates.words)
        self._words = [None if drop else word for word, drop in zip(candidates.words, dropped, strict=True)]

    def slots(self, text: str) -> tuple[list[str], Slots]:
        """Return a text's words, and what may stand for those that may be replaced."""
        words, asked, several = self._candidates.of(text)
        slots: dict[int, Sequence[str]] = {index: self._near.get(words[index], ()) for index in several}
        for index, pieces in asked.items():
            slots[index] = [
                word for piece in pieces if piece < len(self._words) and (word := self._words[piece]) is not None
            ]
        return words, {index: slots[index] for index in sorted(slots) if slots[index]}

    def texts(self, text: str, seed: Sequence[int]) -> list[str]:
        """Return a text and its variants."""
        words, slots = self.slots(text)
        return variants(text, words, slots, self._config, np.random.default_rng(seed))


def _cases(first: Sequence[str], second: Sequence[str | None], mode: str) -> list[tuple[str, str | None]]:
    """Return the texts and pairs of one row, given each text followed by its variants."""
    cases = [(text, second[0]) for text in first]
    if mode == "reference" and second[0] is not None:
        return cases + [(first[-1], text) for text in second]
    return cases + [(first[0], text) for text in second[1:]]


def _near(config: AugmentedConfig, candidates: Candidates, context: StageContext) -> Mapping[str, Sequence[str]]:
    """Return the nearest words of those words of several pieces that have a vector, and count these."""
    context.counts["words_by_vectors"] = 0
    if config.vectors is None:
        return {}
    vectors = read_vectors(config.vectors, config.vector_rows)
    times = Counter(word for word in candidates.words_of_several_pieces() if word in vectors)
    context.counts["words_by_vectors"] = times.total()
    return dict(zip(times, vectors.nearest(list(times), config.candidates), strict=True))
