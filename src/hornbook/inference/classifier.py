"""`hornbook.load_classifier`: a finished classifier as a function of texts."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.export.files import GRAPH
from hornbook.inference.runtimes import Answer, OnnxRuntime, Pending, Runtime, TorchRuntime
from hornbook.machine.parsing import read_json
from hornbook.models.source import WEIGHTS, Model, model_path

Format = Literal["int8", "onnx", "pytorch"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""The formats of a classifier, the fastest first; `onnx` is in float32."""
GRAPHS: dict[Format, tuple[str, ...]] = {"int8": ("onnx/model_quantized.onnx", "int8/model.onnx"), "onnx": (GRAPH,)}
"""Where an export has the graph of a format; the first one that is there is taken."""
CALIBRATION = "calibration.json"
_WINDOW = 8192
# One window runs while the next is tokenised and the last is written.
_AHEAD = 1

Tag = TypeVar("Tag")


@dataclass(frozen=True)
class Predictions:
    """What a classifier answers, in the order of the texts.

    Attributes:
        labels: the label of each text; where texts may have several, a list of them; for scores, the score.
        probabilities: of each label, shape (texts, labels), in the order of `Classifier.labels`; for scores, the
            scores themselves, shape (texts, 1).
    """

    labels: list[Any]
    probabilities: NDArray[np.float64]


class Classifier:
    """A finished classifier: call it with texts.

    Args:
        runtime: the loaded model.
        format: the format that it runs in.
        temperature: logits are divided by it before they become probabilities; labels do not change.

    Attributes:
        labels: the names of the labels, in the order of `Predictions.probabilities`; of scores just "score".
        kind: `classification`, `multilabel` or `regression`.
        format: `int8`, `onnx` or `pytorch`.
    """

    def __init__(self, runtime: Runtime, format: Format, temperature: float = 1.0) -> None:
        self._runtime, self._temperature = runtime, temperature
        self.labels, self.kind, self.format = runtime.labels, runtime.kind.name, format

    def __call__(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> Predictions:
        """Classify texts, or pairs of texts, on all cores.

        Args:
            texts: any texts, also empty ones. Long ones are truncated at the length that the model was trained for.
            pairs: the second text of each, None for none; for a task of pairs.

        Returns:
            labels and probabilities, in the order of the texts.

        Raises:
            HornbookError: `texts` is one text instead of a list.
        """
        if isinstance(texts, str):
            raise HornbookError("a classifier takes a list of texts; put brackets around the text")
        starts = range(0, len(texts), _WINDOW)
        windows = (
            (None, texts[at : at + _WINDOW], None if pairs is None else pairs[at : at + _WINDOW]) for at in starts
        )
        logits = [np.zeros((0, len(self.labels))), *(answer.logits for _, answer in self.answers(windows))]
        return self.predictions(np.concatenate(logits))

    def answers(
        self, windows: Iterable[tuple[Tag, Sequence[str], Sequence[str | None] | None]]
    ) -> Iterator[tuple[Tag, Answer]]:
        """Yield the model's outputs for windows of texts, each with the window's tag, in order.

        While one window is computed the next is read, so iterate over what is read lazily.

        Args:
            windows: a tag, texts, and second texts or None.

        Yields:
            the tag and the answer of each window.
        """
        waiting: deque[tuple[Tag, Pending]] = deque()
        try:
            for tag, texts, pairs in windows:
                waiting.append((tag, self._runtime.start(texts, pairs)))
                if len(waiting) > _AHEAD:
                    done, pending = waiting.popleft()
                    yield done, pending.answer()
            while waiting:
                done, pending = waiting.popleft()
                yield done, pending.answer()
        finally:
            for _, pending in waiting:
                pending.cancel()

    def predictions(self, logits: NDArray[Any]) -> Predictions:
        """Return what logits mean.

        Args:
            logits: the model's outputs, shape (texts, outputs).

        Returns:
            labels and probabilities.
        """
        kind = self._runtime.kind
        scaled = logits / self._temperature if kind.has_classes else logits
        named = kind.named(kind.predicted(logits), self.labels)
        return Predictions(named.to_pylist(), kind.probabilities(np.asarray(scaled, np.float64)))


def load_classifier(
    model: Model, *, format: Format | None = None, threads: int | None = None, share_batches: bool = False
) -> Classifier:
    """Load a classifier: an export, a student of a run, or any classifier of transformers.

    Args:
        model: an artefact, a folder or a hub name.
        format: `int8`, `onnx` or `pytorch`. Default: the first of these that the folder has. Only `pytorch` needs
            PyTorch.
        threads: the threads to compute with; by default one a core (with PyTorch its own choice).
        share_batches: with ONNX, let all threads work on one batch of texts, as PyTorch does. One text takes less
            time, but fewer are classified a second than when each thread has batches of its own.

    Returns:
        the classifier.

    Raises:
        HornbookError: the model cannot be loaded, is not a classifier, or has not the format.
    """
    path = model_path(model)
    there = formats_of(model)
    chosen = format or there[0]
    if chosen not in there:
        raise HornbookError(f"{path}: has no {chosen} format, but {', '.join(there)}; `hornbook export` makes ONNX")
    graph = graph_of(path, chosen)
    runtime: Runtime
    runtime = TorchRuntime(path, threads) if graph is None else OnnxRuntime(path, graph, threads, share_batches)
    return Classifier(runtime, chosen, _temperature(path))


def formats_of(model: Model) -> tuple[Format, ...]:
    """Return the formats that a model has, the fastest first.

    Args:
        model: an artefact, a folder or a hub name.

    Returns:
        at least one: PyTorch, if nothing else is there.
    """
    path = model_path(model)
    graphs = tuple(format for format in GRAPHS if graph_of(path, format))
    weights = any((Path(path) / name).is_file() for name in WEIGHTS)
    return (*graphs, "pytorch") if weights or not graphs else graphs


def graph_of(path: str, format: Format) -> str | None:
    """Return the graph that a folder has in a format, relative to it; None without one."""
    return next((name for name in GRAPHS.get(format, ()) if (Path(path) / name).is_file()), None)


def _temperature(path: str) -> float:
    """Return the temperature that a folder states, else 1."""
    file = Path(path) / CALIBRATION
    if not file.is_file():
        return 1.0
    try:
        temperature = float(read_json(file)["temperature"])
    except (HornbookError, ValueError, KeyError, TypeError):
        temperature = math.nan
    if not 0 < temperature < math.inf:
        raise HornbookError(f"{file}: states no temperature above 0; remove the file or export again")
    return temperature
