"""Run an export: onnxruntime and tokenizers, without PyTorch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from hornbook.errors import HornbookError, one_line
from hornbook.export.files import CONFIG, GRAPH, TOKENIZER
from hornbook.machine.load import usable_cores
from hornbook.machine.parsing import read_json
from hornbook.models.source import refuse_changed
from hornbook.store import MANIFEST, load
from hornbook.tasks.kinds import kind_of_problem

Pairs = list[tuple[str, str | None]]
"""Texts, each with its second text or None."""
_READ_AT_ONCE = 8192


class OnnxClassifier:
    """An exported classifier.

    Args:
        folder: an export; its files are compared with its manifest, if it has one.
        graph: the graph to run, relative to the folder.
        threads: threads of onnxruntime for each batch; 0: one, and `logits` runs as many batches at once as there are
            cores. Small models have too little work for several threads in one batch.

    Attributes:
        labels: the names of the outputs, in order.
        kind: what the outputs mean, see `hornbook.tasks.kinds`.

    Raises:
        HornbookError: a file is missing, changed or damaged, or the tokenizer is that of another model.
    """

    def __init__(self, folder: Path | str, graph: str = GRAPH, threads: int = 0) -> None:
        folder = Path(folder)
        if (folder / MANIFEST).is_file():
            refuse_changed(str(folder), weights=False)
            load(folder).file(graph)
        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 1
        self._at_once = 1 if threads else usable_cores()
        options.log_severity_level = 3  # errors alone
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(folder / graph), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            config = read_json(folder / CONFIG)
            names, problem = config["id2label"], config.get("problem_type")
            rows, self._pad = config["vocab_size"], config["pad_token_id"]
        except Exception as error:  # both libraries raise exceptions of their own
            raise HornbookError(
                f"{folder}: not an exported classifier that can be loaded ({one_line(error, 200)}); export it again"
            ) from None
        if (ids := max(self._tokenizer.get_vocab().values()) + 1) > rows:
            raise HornbookError(
                f"{folder}: its tokenizer has {ids:,} ids, the model {rows:,} rows; the files are not of one export"
            )
        self._tokenizer.no_padding()
        self._names = [one.name for one in self._session.get_inputs()]
        self.labels = [names[str(i)] for i in range(len(names))]
        self.kind = kind_of_problem(problem, len(names))

    def __call__(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> NDArray[np.float64]:
        """Return the probability of each label, or the scores of a regression; shape (texts, labels).

        Args:
            texts: any texts, also empty ones; long ones are truncated.
            pairs: the second texts; None for none.

        Returns:
            the probabilities, in the order of the texts.
        """
        return self.kind.probabilities(self.logits(texts, pairs))

    def logits(
        self, texts: Sequence[str], pairs: Sequence[str | None] | None = None, batch: int = 32
    ) -> NDArray[np.float32]:
        """Return the outputs for texts, shape (texts, outputs); see `__call__`.

        Texts of similar length are batched together, to reduce padding.

        Args:
            texts: any texts.
            pairs: the second texts.
            batch: texts in a batch.

        Returns:
            the outputs, in the order of the texts.
        """
        outputs = np.zeros((len(texts), len(self.labels)), np.float32)
        with ThreadPoolExecutor(self._at_once) as pool:
            for start in range(0, len(texts), _READ_AT_ONCE):
                part = slice(start, start + _READ_AT_ONCE)
                encodings = self.encode(texts[part], None if pairs is None else pairs[part])
                batches = by_length(encodings, batch)
                inputs = (self.inputs([encodings[i] for i in chosen]) for chosen in batches)
                for chosen, found in zip(batches, pool.map(self.run, inputs), strict=True):
                    outputs[start + chosen] = found
        return outputs

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> list[Encoding]:
        """Return texts, or pairs of texts, as token ids; long ones are truncated."""
        both = texts if pairs is None else [_one(*each) for each in zip(texts, pairs, strict=True)]
        return self._tokenizer.encode_batch_fast(list(both))

    def count_cut(self, encodings: Sequence[Encoding]) -> int:
        """Return how many texts were truncated."""
        most = (self._tokenizer.truncation or {}).get("max_length", 0)
        return sum(len(one) >= most and bool(one.overflowing) for one in encodings)

    def inputs(self, encodings: Sequence[Encoding], length: int = 1) -> dict[str, NDArray[np.int64]]:
        """Return one batch as the graph takes it: arrays of shape (texts, length).

        Args:
            encodings: encoded texts.
            length: pad to at least this many tokens.

        Returns:
            the arrays by the name of the input.
        """
        lengths = np.array([len(one) for one in encodings])
        filled = np.arange(max(length, lengths.max())) < lengths[:, None]
        arrays = {name: np.zeros(filled.shape, np.int64) for name in self._names}
        for name, array in arrays.items():
            if name == "attention_mask":
                array[filled] = 1
            else:
                field = "ids" if name == "input_ids" else "type_ids"
                array[filled] = list(chain.from_iterable(getattr(one, field) for one in encodings))
        arrays["input_ids"][~filled] = self._pad
        return arrays

    def run(self, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the outputs for one batch, shape (texts, outputs)."""
        outputs: NDArray[np.float32] = self._session.run(None, inputs)[0]
        return outputs


def by_length(encodings: Sequence[Encoding], batch: int) -> list[NDArray[np.int64]]:
    """Return the indices of batches of texts of similar length, the longest first."""
    order = np.argsort([-len(one) for one in encodings], kind="stable")
    return [order[at : at + batch] for at in range(0, len(order), batch)]


def _one(text: str, pair: str | None) -> str | tuple[str, str]:
    return text if pair is None else (text, pair)
