"""Ways to run a classifier: onnxruntime on all cores, or PyTorch. Each answers windows of texts in the background."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hornbook.machine.load import usable_cores
from hornbook.tasks.kinds import TaskKind

# Larger batches are not faster on a CPU, and keep more memory.
_MOST_TEXTS, _MOST_TOKENS = 32, 4096


@dataclass(frozen=True)
class Answer:
    """What a model answers to some texts.

    Attributes:
        logits: its outputs, shape (texts, outputs).
        cut: the number of texts that were longer than it reads.
    """

    logits: NDArray[Any]
    cut: int


@dataclass(frozen=True)
class Pending:
    """Texts that are being classified in the background.

    Attributes:
        answer: waits for the answer and returns it.
        parts: what it consists of.
    """

    answer: Callable[[], Answer]
    parts: Sequence[Future[Any]]

    def cancel(self) -> None:
        """Do not begin what has not begun yet."""
        for part in self.parts:
            part.cancel()


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        labels: the names of its outputs, in order.
        kind: what they mean.
    """

    labels: list[str]
    kind: TaskKind

    def start(self, texts: Sequence[str], pairs: Sequence[str | None] | None) -> Pending:
        """Begin to classify texts."""


class OnnxRuntime:
    """An exported graph. Each batch runs on one core, several batches at a time.

    Args:
        folder: an export.
        graph: the graph in it.
        threads: the number of threads; by default one a core.
        share_batches: let all threads work on one batch. Small models have too little work for that.
    """

    def __init__(self, folder: str, graph: str, threads: int | None = None, share_batches: bool = False) -> None:
        from hornbook.export.answers import check_answers
        from hornbook.export.files import GRAPH
        from hornbook.export.session import OnnxClassifier

        threads = threads or usable_cores()
        self._model = OnnxClassifier(folder, graph, threads=threads if share_batches else 1)
        if graph != GRAPH:  # int8: its products depend on the processor
            check_answers(self._model, folder)
        self._pool = ThreadPoolExecutor(1 if share_batches else threads)
        self.labels, self.kind = self._model.labels, self._model.kind

    def start(self, texts: Sequence[str], pairs: Sequence[str | None] | None) -> Pending:
        """Begin to classify texts: they are tokenised here, and run in the background."""
        encodings = self._model.encode(texts, pairs)
        batches = similar([len(one) for one in encodings])
        futures = [self._pool.submit(self._run, [encodings[i] for i in batch]) for batch in batches]
        cut = self._model.count_cut(encodings)

        def answer() -> Answer:
            logits = np.zeros((len(texts), len(self.labels)), np.float32)
            for batch, future in zip(batches, futures, strict=True):
                logits[batch] = future.result()
            return Answer(logits, cut)

        return Pending(answer, futures)

    def _run(self, encodings: Sequence[Any]) -> NDArray[np.float32]:
        return self._model.run(self._model.inputs(encodings))


class TorchRuntime:
    """A model of transformers, on the GPU where there is one.

    Args:
        model: a folder or hub name.
        threads: the threads of PyTorch; by default its own choice.
    """

    def __init__(self, model: str, threads: int | None = None) -> None:
        import torch

        from hornbook.models.loading import kind_of, load_ready_classifier
        from hornbook.models.predict import best_device
        from hornbook.models.tokenizers import load_tokenizer, saved_length
        from hornbook.tasks.kinds import KINDS

        if threads:
            torch.set_num_threads(threads)
        self._model = load_ready_classifier(model).eval().to(best_device())
        self._tokenizer = load_tokenizer(model)
        self._length = saved_length(self._tokenizer)
        self._pool = ThreadPoolExecutor(1)
        names = self._model.config.id2label
        self.labels, self.kind = [names[i] for i in range(len(names))], KINDS[kind_of(self._model.config)]

    def start(self, texts: Sequence[str], pairs: Sequence[str | None] | None) -> Pending:
        """Begin to classify texts: they are tokenised here, and run in the background."""
        from hornbook.models.encode import encode
        from hornbook.models.predict import predict

        encoded = encode(texts, pairs, self._tokenizer, self._length)
        future = self._pool.submit(predict, self._model, encoded, _MOST_TEXTS)
        return Pending(lambda: Answer(future.result(), encoded.cut), [future])


def similar(lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Return batches of texts of similar length, the longest first.

    Args:
        lengths: the tokens of each text.

    Returns:
        the indices of each batch: at most 32 texts and, if it is more than one text, 4,096 tokens with padding.
    """
    order = np.argsort(np.negative(lengths), kind="stable")
    batches = []
    at = 0
    while at < len(order):
        size = min(_MOST_TEXTS, max(1, _MOST_TOKENS // max(1, lengths[order[at]])))
        batches.append(order[at : at + size])
        at += size
    return batches
