"""A classifier's outputs for many texts, and its speed."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.models.encode import Encoded, model_inputs


def predict(model: Any, encoded: Encoded, batch: int = 64) -> NDArray[np.float64]:
    """Return a classifier's logits, shape (sequences, outputs), in the order of the sequences.

    Sequences of similar length are batched together, to reduce padding.
    """
    was_training = model.training
    model.eval()
    outputs = np.zeros((len(encoded), model.config.num_labels))
    device = next(model.parameters()).device
    for indices in _by_length(encoded, batch):
        inputs = {name: t.to(device) for name, t in model_inputs(model, encoded.batch(indices)).items()}
        with torch.inference_mode():
            outputs[indices] = model(**inputs).logits.float().cpu().numpy()
    model.train(was_training)
    return outputs


def best_device() -> torch.device:
    """Return the GPU where PyTorch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def sentences_per_second(models: Mapping[str, tuple[Any, Encoded]], batch: int, repeats: int = 3) -> dict[str, float]:
    """Return the sequences that each model classifies per second: the best of some interleaved rounds.

    Each model has the token ids of its own tokenizer; tokenisation is not timed. The models take turns, so that noise
    on the machine affects all of them.
    """
    best = dict.fromkeys(models, 0.0)
    for _ in range(repeats):
        for name, (model, encoded) in models.items():
            started = time.perf_counter()
            predict(model, encoded, batch)
            best[name] = max(best[name], len(encoded) / (time.perf_counter() - started))
    return best


def _by_length(encoded: Encoded, batch: int) -> Sequence[NDArray[np.int64]]:
    order = np.argsort(-encoded.lengths, kind="stable")
    return [order[start : start + batch] for start in range(0, len(order), batch)]
