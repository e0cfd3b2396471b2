"""Which of two textbooks is better, and how sure that is: paired differences over resampled dev examples."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.metrics import score_of

Row = Mapping[str, Any]
RESAMPLES = 1_000


@dataclass(frozen=True)
class Difference:
    """How much more a group of students scores than another.

    Attributes:
        mean: of the score's differences, over seeds.
        low, high: 95% interval, by resampling the dev examples (the percentile bootstrap; seeds are not resampled,
            so it says how sure the difference of these students is on other examples of the task).
        seeds: how many pairs.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def resampled(row: Row, gold: Mapping[str, Any], seed: int = 0) -> NDArray[np.float64]:
    """Return a student's score on dev, and its scores on resamples of the examples, the same for every student.

    Args:
        row: with `predicted`, as `compact` makes it.
        gold: of its task: kind, metric, and dev's gold labels as `compact` makes them.
        seed: of the resampling.

    Returns:
        [1 + resamples].
    """
    right, said = (np.array(expanded(values)) for values in (gold["dev"], row["predicted"]))
    random = np.random.default_rng(seed)
    drawn = (random.integers(len(right), size=len(right)) for _ in range(RESAMPLES))
    if gold["kind"] == "classification" and gold["metric"] == "accuracy":
        # The score is the mean of what each example adds.
        each = (said == right).astype(float)
        return np.array([each.mean(), *(each[rows].mean() for rows in drawn)])
    samples: Iterable[Any] = itertools.chain([slice(None)], drawn)
    return np.array([score_of(gold["kind"], gold["metric"], right[rows], said[rows]) for rows in samples])


def difference(better: Mapping[int, NDArray[np.float64]], worse: Mapping[int, NDArray[np.float64]]) -> Difference:
    """Compare students pair by pair.

    Args:
        better: what `resampled` returns for one group, by seed; each has a partner of the same seed in the other.
        worse: the same of the other group.

    Raises:
        ValueError: no two have the same seed.
    """
    seeds = [seed for seed in better if seed in worse]
    if not seeds:
        raise ValueError("no two rows have the same seed")
    whole, *found = np.mean([better[seed] - worse[seed] for seed in seeds], axis=0)
    low, high = np.percentile(found, [2.5, 97.5])
    return Difference(float(whole), float(low), float(high), len(seeds))


def compact(values: Sequence[Any]) -> Any:
    """Return labels or scores shorter: class indices below ten as one text of digits, scores with nine digits."""
    if all(isinstance(value, int) and 0 <= value < 10 for value in values):
        return "".join(map(str, values))
    return [float(f"{value:.9g}") if isinstance(value, float) else value for value in values]


def expanded(values: Any) -> list[Any]:
    """Return what `compact` made short."""
    return [int(digit) for digit in values] if isinstance(values, str) else list(values)
