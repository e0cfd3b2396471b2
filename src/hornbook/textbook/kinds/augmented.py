"""Augmented text: the task's own texts with words replaced by likely ones (TinyBERT, Jiao et al. 2020, algorithm 1).

`augmentation` finds the candidates for each word; this module draws variants from them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from hornbook.machine.progress import progress
from hornbook.recipe import AugmentedConfig
from hornbook.store import StageContext
from hornbook.textbook.augmentation.candidates import Candidates, open_candidates, propose
from hornbook.textbook.augmentation.vectors import read_vectors
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.store import table_of_task

PAGE_ROWS = 1_000

Slots = Mapping[int, Sequence[str]]
"""The replaceable words by their index in the text, each with its candidates."""


def build(config: AugmentedConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Yield each text of train followed by its variants, in the order of train, with labels and pairs.

    The texts of a pair are varied one after the other. The other text stays as it is; in `mode: reference` it is its
    own last variant.

    Counts: cases (rows of train), variants (further units), and over the distinct texts cut, words_replaceable,
    words_masked (predicted by the model) and words_by_vectors.

    Args:
        config: the settings.
        materials: the task, and its `candidates`.
        context: the stage; gets the counts.

    Yields:
        Tables of `store.SCHEMA`.

    Raises:
        HornbookError: the vectors cannot be read.
    """
    task, proposed = materials.task, materials.artifact("candidates")
    candidates = open_candidates(proposed)
    neighbours = _neighbours(config, candidates, context)
    context.counts |= {name: proposed.counts[name] for name in ("cut", "words_replaceable", "words_masked")}
    variator = _Variator(config, candidates, neighbours)
    train = task.split("train")
    context.counts |= {"cases": len(train), "variants": -len(train)}
    with progress("Making variants", len(train), "cases") as counter:
        for start in range(0, len(train), PAGE_ROWS):
            page = train.slice(start, PAGE_ROWS)
            cases: list[tuple[str, str | None]] = []
            rows: list[int] = []
            both = zip(page.column("text").to_pylist(), page.column("text_pair").to_pylist(), strict=True)
            for row, (text, pair) in enumerate(both):
                first = variator.texts(text, (config.seed, start + row, 0))
                second = [None] if pair is None else variator.texts(pair, (config.seed, start + row, 1))
                cases += _cases(first, second, config.mode)
                rows += [row] * (len(cases) - len(rows))
            table = table_of_task(task, page).take(pa.array(rows))
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
    """Return a text and its distinct variants, their words joined by spaces.

    For each of `config.variants` attempts, each word in a slot is replaced with probability `config.probability` by
    one of its candidates, drawn uniformly. Duplicate variants are dropped. In `mode: reference` a variant without a
    replaced word is a duplicate only if the words of the text are already joined by single spaces, as in TinyBERT's
    script.

    Args:
        text: the text.
        words: its words.
        slots: the replaceable words.
        config: the number of variants, the probability and the mode.
        random: the random generator.

    Returns:
        The text itself, then its variants, at most `config.variants`.
    """
    seen = {text, " ".join(words)} if config.mode == "clean" else {text}
    texts = [text]
    choices = list(slots.values())
    replaced, drawn = random.random((2, config.variants, len(slots)))
    picks = (drawn * np.array([len(choice) for choice in choices])).astype(np.int64)
    for replaced_here, picks_here in zip((replaced < config.probability).tolist(), picks.tolist(), strict=True):
        variant = list(words)
        for index, choice, is_replaced, pick in zip(slots, choices, replaced_here, picks_here, strict=True):
            if is_replaced:
                variant[index] = choice[pick]
        joined = " ".join(variant)
        if joined not in seen:
            seen.add(joined)
            texts.append(joined)
    return texts


class _Variator:
    """Makes variants of texts from their candidates."""

    def __init__(
        self, config: AugmentedConfig, candidates: Candidates, neighbours: Mapping[str, Sequence[str]]
    ) -> None:
        self._config, self._candidates, self._neighbours = config, candidates, neighbours
        dropped = candidates.special if config.mode == "clean" else [False] * len(candidates.words)
        self._words = [None if drop else word for word, drop in zip(candidates.words, dropped, strict=True)]

    def texts(self, text: str, seed: Sequence[int]) -> list[str]:
        """Return a text and its variants."""
        words, slots = self._slots(text)
        return variants(text, words, slots, self._config, np.random.default_rng(seed))

    def _slots(self, text: str) -> tuple[list[str], Slots]:
        """Return a text's words, and the candidates for those that can be replaced."""
        words, tokens_of, split = self._candidates.of(text)
        slots: dict[int, Sequence[str]] = {index: self._neighbours.get(words[index], ()) for index in split}
        for index, tokens in tokens_of.items():
            slots[index] = [
                word for token in tokens if token < len(self._words) and (word := self._words[token]) is not None
            ]
        return words, {index: slots[index] for index in sorted(slots) if slots[index]}


def _cases(first: Sequence[str], second: Sequence[str | None], mode: str) -> list[tuple[str, str | None]]:
    """Return the texts and pairs of one row from both texts, each followed by its variants."""
    cases = [(text, second[0]) for text in first]
    if mode == "reference" and second[0] is not None:
        return cases + [(first[-1], text) for text in second]
    return cases + [(first[0], text) for text in second[1:]]


def _neighbours(
    config: AugmentedConfig, candidates: Candidates, context: StageContext
) -> Mapping[str, Sequence[str]]:
    """Return the nearest words of the words of several tokens that have a vector, and count these words."""
    context.counts["words_by_vectors"] = 0
    if config.vectors is None:
        return {}
    vectors = read_vectors(config.vectors, config.vector_rows)
    times = Counter(word for word in candidates.split_words() if word in vectors)
    context.counts["words_by_vectors"] = times.total()
    return dict(zip(times, vectors.nearest(list(times), config.candidates), strict=True))


KIND = TextbookKind(
    AugmentedConfig,
    build,
    needs=("task",),
    prepare=lambda config, artifacts, out: {"candidates": propose(config, artifacts["task"], out)},
    files=lambda config: {} if config.vectors is None else {"vectors": Path(config.vectors)},
)
