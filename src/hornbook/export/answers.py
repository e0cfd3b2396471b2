"""A hundred answers stored with an int8 graph, to check whether another processor computes the same."""

import logging
from pathlib import Path

import numpy as np

from hornbook.errors import HornbookError
from hornbook.export.session import OnnxClassifier, Pairs
from hornbook.machine.parsing import read_json
from hornbook.machine.processor import processor
from hornbook.store.files import write_json

logger = logging.getLogger("hornbook")

ANSWERS = "answers.json"
COUNT = 100
_SAME = 0.01  # of a probability
_MOST_TOKENS = 24


def store_answers(classify: OnnxClassifier, texts: Pairs, path: Path) -> None:
    """Write what a graph answers to some texts as token ids, with the processor's name.

    Args:
        classify: the graph.
        texts: texts made up from the vocabulary, none of a data set; of short ones the first hundred are taken.
        path: the file to write.
    """
    encodings = classify.encode([first for first, _ in texts], [second for _, second in texts])
    few = [one for one in encodings if len(one.ids) <= _MOST_TOKENS][:COUNT]
    inputs = classify.inputs(few)
    write_json(
        path,
        {
            "processor": processor(),
            "inputs": {name: array.tolist() for name, array in inputs.items()},
            "logits": [[float(f"{value:.6g}") for value in row] for row in classify.run(inputs)],
        },
    )


def check_answers(classify: OnnxClassifier, folder: Path | str) -> str | None:
    """Compare a graph's answers with the stored ones, if this is another processor; warn where they differ.

    Args:
        classify: the graph.
        folder: the export, with or without stored answers.

    Returns:
        the warning, if there is one.

    Raises:
        HornbookError: the stored answers cannot be read.
    """
    path = Path(folder) / ANSWERS
    if not path.is_file():
        return None
    try:
        stored = read_json(path)
        there, here = stored["processor"], processor()
        if there == here:
            return None
        inputs = {name: np.array(rows, np.int64) for name, rows in stored["inputs"].items()}
        wanted = np.array(stored["logits"], np.float32)
    except (HornbookError, ValueError, KeyError, TypeError, AttributeError):
        raise HornbookError(f"{path}: not the answers of an export; remove the file or export again") from None
    found = classify.run(inputs)
    kind = classify.kind
    apart = np.abs(kind.probabilities(found) - kind.probabilities(wanted)).max(axis=1)
    if not kind.has_classes:
        apart /= float(wanted.std()) or 1.0
    if apart.max() <= _SAME:
        return None
    labels = (kind.predicted(found) != kind.predicted(wanted)).reshape(len(found), -1).any(axis=1).sum()
    changed = f", {labels} with another label" if kind.has_classes else ""
    message = (
        f"{folder}: {int((apart > _SAME).sum())} of {len(found)} int8 answers differ here from those of the "
        f"processor it was checked on{changed} ({there['name']}; this one: {here['name']}); use onnx/model.onnx, or "
        "export again on this processor"
    )
    logger.warning("%s", message)
    return message
