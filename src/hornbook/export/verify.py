"""Compare an export with the PyTorch model that it was made from, before it is published."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding

from hornbook.errors import HornbookError
from hornbook.export.session import OnnxClassifier, Pairs, by_length
from hornbook.machine.progress import progress
from hornbook.models.encode import Batch, encode
from hornbook.store import Artifact
from hornbook.tasks import open_task
from hornbook.textbook import open_textbook

MOST_APART = 1e-4
"""The largest difference allowed between a logit of PyTorch and of onnxruntime in float32; of scores, which have
the task's unit, times the largest score where that is above 1."""
_BATCH, _COMPOSED = 32, 48
_LONG_WORDS = 2000


def texts_to_compare(tokenizer: Any, count: int, task: Artifact | None, textbook: Artifact | None) -> Pairs:
    """Return texts of many lengths: of the task's dev split and of a textbook where given, the rest made up.

    Empty, blank and very long texts and pairs are always among them.

    Args:
        tokenizer: the vocabulary of the made-up texts.
        count: the number of texts.
        task: a prepared task.
        textbook: a finished textbook.

    Returns:
        the texts; the same for the same arguments.
    """
    made = _made_up(tokenizer)
    odd = list(itertools.islice(made, 6 + count // 4))
    given = itertools.chain(texts_of_task(task), texts_of_textbook(textbook))
    return list(itertools.islice(itertools.chain(odd, given, made), count))


def texts_of_task(task: Artifact | None) -> Iterator[tuple[str, str | None]]:
    """Yield the texts of a task's dev split, each with its second text or None."""
    if task is not None:
        opened = open_task(task)
        table = opened.split("dev")
        seconds = table["text_pair"].to_pylist() if opened.pair else [None] * len(table)
        yield from zip(table["text"].to_pylist(), seconds, strict=True)


def texts_of_textbook(textbook: Artifact | None) -> Iterator[tuple[str, str | None]]:
    """Yield the units of a textbook, each with its second text or None."""
    if textbook is not None:
        for batch in open_textbook(textbook).batches(["text", "text_pair"], 1024):
            yield from zip(batch["text"].to_pylist(), batch["text_pair"].to_pylist(), strict=True)


def _made_up(tokenizer: Any) -> Iterator[tuple[str, str | None]]:
    """Yield odd texts and pairs, then random ones: up to 200 words, every third a pair."""
    special = set(tokenizer.all_special_ids)
    words = np.array(sorted(set(tokenizer.get_vocab().values()) - special))
    random = np.random.default_rng(0)

    def text(length: int) -> str:
        return str(tokenizer.decode(random.choice(words, length)))

    # Two long texts in a pair would take tokenizers 0.23 time and memory that grow with the product of their lengths.
    long = text(_LONG_WORDS)
    yield from (("", None), (" \n\t", None), (long, None), (text(9), text(200)), (text(9), ""), ("", text(9)))
    for number in itertools.count():
        length, second = np.exp(random.uniform(0, np.log(200), 2)).astype(int)
        yield text(length), text(second) if number % 3 == 0 else None


def compare(model: Any, tokenizer: Any, folder: Path, texts: Pairs, length: int) -> float:
    """Return the largest difference between the logits of PyTorch and of an export, over texts and their batches.

    Each text is read by the export's own tokenizer. Some texts are compared alone, beside longer ones, and padded to
    the whole length too.

    Args:
        model: the classifier, on the CPU.
        tokenizer: its tokenizer, as it was trained with.
        folder: the export.
        texts: what to compare on.
        length: the most tokens of an input.

    Returns:
        the difference; at most what `MOST_APART` allows.

    Raises:
        HornbookError: it is larger, or the export's tokenizer gives other ids.
    """
    session = OnnxClassifier(folder, threads=torch.get_num_threads())
    firsts, seconds = [first for first, _ in texts], [second for _, second in texts]
    encodings, learned = session.encode(firsts, seconds), encode(firsts, seconds, tokenizer, length)
    wanted = np.zeros((len(texts), len(session.labels)), np.float32)
    worst = 0.0
    with progress("comparing with PyTorch", len(texts), "texts") as done:
        for chosen in by_length(encodings, _BATCH):
            inputs = session.inputs([encodings[i] for i in chosen])
            for i in chosen[_unlike(inputs, learned.batch(chosen))]:
                raise HornbookError(f"the exported tokenizer reads {firsts[i][:40]!r} otherwise than the student's")
            wanted[chosen] = _logits(model, inputs)
            worst = max(worst, _apart(session.run(inputs), wanted[chosen]))
            done.advance(len(chosen))
    some = np.linspace(0, len(texts) - 1, min(_COMPOSED, len(texts))).astype(int)
    composed = compositions(session, [encodings[i] for i in some], length)
    worst = max(worst, *(_apart(found, wanted[some]) for found in composed))
    scores = model.config.problem_type == "regression"
    allowed = MOST_APART * max(1.0, float(np.abs(wanted).max()) if scores else 1.0)
    if not worst <= allowed:  # also if it is not a number
        raise HornbookError(
            f"the exported {model.config.model_type} model differs from PyTorch by {worst:.2g} in a "
            f"{'score' if scores else 'logit'}, more than {allowed:.2g}; it was not published"
        )
    return worst


def compositions(session: OnnxClassifier, encodings: Sequence[Encoding], length: int) -> list[NDArray[np.float32]]:
    """Return the outputs for texts alone, in one batch in their order, and with padding to the whole length."""
    alone = np.concatenate([session.run(session.inputs([one])) for one in encodings])
    return [alone, session.run(session.inputs(encodings)), session.run(session.inputs(encodings, length))]


def _unlike(read: Mapping[str, NDArray[np.int64]], learned: Batch) -> NDArray[np.bool_]:
    """Return of which texts a graph's inputs are others than a student's, padding left out; shape (texts,)."""
    mask, own = read["attention_mask"], {name: learned[name].numpy() for name in read}
    if mask.shape != own["attention_mask"].shape:
        return np.ones(len(mask), bool)
    found: NDArray[np.bool_] = np.any(
        [(a != own[name]) & (mask | own["attention_mask"] > 0) for name, a in read.items()], axis=(0, 2)
    )
    return found


def _logits(model: Any, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = model(**{name: torch.from_numpy(a) for name, a in inputs.items()}).logits.numpy()
    return found


def _apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max())
