"""What is worth labelling in a textbook: units near many anchors, no near-repeats, or where a student is unsure."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.models.source import Model, model_path
from hornbook.store import Artifact, write_text
from hornbook.tasks.answers import text_id
from hornbook.tasks.kinds import CROSS_ENTROPY, KINDS, TaskKind
from hornbook.terms.plain import normalise
from hornbook.textbook.store import open_textbook

_COLUMNS = ("text", "text_pair", "rank", "score")
_CANDIDATES = 4  # times the units, of which a student is the least sure
_LONGEST = 128
_PART = 4096
_NO_LETTERS = re.compile(r"[\W\d_]+")
_FAR = 1 << 30  # the rank of a unit that has none


def sample_to_label(
    textbook: Artifact | Path | str, units: int, out: Path, *, student: Model | None = None, seed: int = 0
) -> int:
    """Write units of a textbook that are worth labelling: JSONL with id, text (and text_pair), rank and score.

    Units go by their best rank, then by score. As each anchor has one unit of rank 1, one of rank 2 and so on, this
    takes the nearest units of all anchors first. Units without a rank come in random order. Of units that differ in
    letter case, digits and punctuation alone the first is taken. With a student, it is asked about four times as many
    such units, and those come first between whose two likeliest labels it sees the least difference.

    Args:
        textbook: a finished textbook.
        units: how many to write; of a smaller textbook all are written.
        out: the file; it must not exist.
        student: a classifier.
        seed: of the random order.

    Returns:
        the number of units written.

    Raises:
        HornbookError: `out` exists, or the student gives scores.
    """
    if out.exists():
        raise HornbookError(f"{out}: exists already; choose another name with --out")
    book = open_textbook(textbook)
    table = pa.Table.from_batches(list(book.batches(_COLUMNS)))
    chosen = list(itertools.islice(distinct(table, in_order(table, seed)), units * (_CANDIDATES if student else 1)))
    if student is not None:
        unsure = margins(student, table.take(pa.array(chosen)))
        chosen = [chosen[i] for i in np.argsort(unsure, kind="stable")[:units]]
    rows = table.take(pa.array(chosen, pa.int64())).to_pylist()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, "".join(f"{json.dumps(_line(row), ensure_ascii=False)}\n" for row in rows))
    return len(rows)


def in_order(table: pa.Table, seed: int) -> NDArray[np.int64]:
    """Return the rows of a textbook's units, nearest first: by rank, then the best score first, then at random."""
    ranks = table["rank"].fill_null(_FAR).to_numpy()
    scores = table["score"].fill_null(-np.inf).to_numpy()
    scores = np.where(ranks == _FAR, 0.0, scores)  # another kind's: a weight, not a distance
    shuffled = np.random.default_rng(seed).permutation(len(table))
    return np.asarray(np.lexsort((shuffled, -scores, ranks)), np.int64)


def distinct(table: pa.Table, order: NDArray[np.int64]) -> Iterator[int]:
    """Yield the rows in an order, without those that nearly repeat an earlier one."""
    seen = set()
    columns = [table[name].to_pylist() for name in ("text", "text_pair")]
    for row in order.tolist():
        form = tuple(plain_form(column[row] or "") for column in columns)
        if form not in seen:
            seen.add(form)
            yield row


def plain_form(text: str) -> str:
    """Return a text in lower case with its letters alone: what near-repeats have in common."""
    return _NO_LETTERS.sub(" ", normalise(text).casefold()).strip() or text


def margins(student: Model, texts: pa.Table) -> NDArray[np.float64]:
    """Return how sure a classifier is of each text: the difference of its two highest probabilities.

    Of several labels each is a choice of two, and the least sure counts.

    Args:
        student: a classifier: a model folder or hub name.
        texts: the columns text and text_pair.

    Returns:
        shape (rows,).

    Raises:
        HornbookError: it gives scores.
    """
    from hornbook.models.encode import encode  # these need torch, which a sample without a student does not
    from hornbook.models.loading import kind_of, load_ready_classifier
    from hornbook.models.predict import best_device, predict
    from hornbook.models.tokenizers import load_tokenizer, saved_length

    path = model_path(student)
    model, tokenizer = load_ready_classifier(path), load_tokenizer(path)
    kind = KINDS[kind_of(model.config)]
    if not kind.has_classes:
        raise HornbookError(f"{path}: gives scores, which are never unsure; leave out --student")
    model.to(best_device())
    found = []
    with progress("ask the student", len(texts), "texts") as counter:
        for start in range(0, len(texts), _PART):
            part = texts.slice(start, _PART)
            pairs = part["text_pair"].to_pylist() if part["text_pair"].null_count < len(part) else None
            encoded = encode(part["text"].to_pylist(), pairs, tokenizer, min(_LONGEST, saved_length(tokenizer)))
            found.append(_margin(kind, kind.probabilities(predict(model, encoded))))
            counter.advance(len(part))
    return np.concatenate(found) if found else np.zeros(0)


def _margin(kind: TaskKind, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind.loss == CROSS_ENTROPY:
        ordered = np.sort(shares, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])
    return np.asarray(np.abs(2 * shares - 1).min(axis=1))


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a unit as it is written: its id first, nothing that is null."""
    known = {name: value for name, value in row.items() if value is not None}
    return {"id": text_id(row["text"], row["text_pair"]), **known}
