"""Learning rate, passes and batch by the size of a model and of its task: what `hornbook new` writes down.

They are starting points, not defaults: the settings in `training.py` never depend on data, so that a recipe means the
same everywhere. What was measured: docs/how-to/own-task.md#start-textbook-rate-and-passes.
"""

import math

__all__ = [
    "BASE_SIZE",
    "suggested_batch",
    "suggested_distil_rate",
    "suggested_passes",
    "suggested_rate",
]

BASE_SIZE = 12, 768
"""Layers and width of a base-size encoder, such as BERT-base."""

_TUNED_RATE, _TUNED_LAYERS, _TUNED_HIDDEN = 8e-5, 6, 384
_LOWEST_RATE, _HIGHEST_RATE = 1e-5, 3e-4
_FEWEST_PASSES, _MOST_PASSES = 2, 20
_MANY_ROWS = 8_000


def suggested_rate(layers: int, hidden: int) -> float:
    """Return a peak learning rate for fine-tuning a pre-trained encoder.

    It falls with the width to the power 1.5 and with the square root of the depth: through 8e-5 for 6x384, which was
    tuned here, to 2e-5 for 12x768 and 1e-5 for 24x1024, the low ends of the ranges in their papers (BERT, Devlin et
    al. 2019: 2e-5 to 5e-5; RoBERTa-large, Liu et al. 2019: 1e-5 to 3e-5). Other sizes were not tuned.

    Args:
        layers: Transformer layers.
        hidden: width of the hidden states.

    Returns:
        the rate, rounded to one digit, from 1e-5 to 3e-4.
    """
    rate = _TUNED_RATE * (_TUNED_HIDDEN / hidden) ** 1.5 * (_TUNED_LAYERS / layers) ** 0.5
    return float(f"{min(max(rate, _LOWEST_RATE), _HIGHEST_RATE):.0e}")


def suggested_passes(rows: int) -> int:
    """Return the number of passes over a task's labelled rows for fine-tuning a pre-trained encoder.

    Few rows need more passes, as fine-tuning on them fails for lack of steps (Mosbach et al. 2021, who make 20
    passes). 64 by the cube root of the rows goes through what was tuned here: 2 passes over 67,000 rows, 3 over
    8,000, 4 over 5,700.

    Args:
        rows: labelled rows to learn from, 1 or more.

    Returns:
        the passes, from 2 to 20.
    """
    return min(max(round(64 / math.cbrt(rows)), _FEWEST_PASSES), _MOST_PASSES)


def suggested_batch(rows: int) -> int:
    """Return the number of sequences in a step: 32, or 16 for more steps where there are fewer than 8,000 rows."""
    return 32 if rows >= _MANY_ROWS else 16


def suggested_distil_rate(hidden: int) -> float:
    """Return a peak learning rate for distilling a student, from random or projected weights.

    2e-3 was tuned for a width of 192 with 0.25 to 1.5 million tokens; wider students were not tuned and get less, in
    proportion to their width (as for Adam in Yang et al. 2021, "Tensor Programs V").

    Args:
        hidden: width of the student's hidden states.

    Returns:
        the rate, rounded to one digit, from 3e-4 to 2e-3.
    """
    return float(f"{min(max(2e-3 * 192 / hidden, 3e-4), 2e-3):.0e}")
