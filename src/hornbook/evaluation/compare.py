"""Which of two textbooks is better, and how sure that is: paired differences over resampled dev examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.tasks.metrics import scores_of

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


def difference(better: Sequence[Row], worse: Sequence[Row], gold: Mapping[str, Any], seed: int = 0) -> Difference:
    """Compare students pair by pair.

    Args:
        better: rows of one group, with seed and `predicted` (as `compact` makes it); each has a partner of the same
            seed in the other.
        worse: rows of the other group.
        gold: of their task: kind, metric, labels, and dev's gold labels as `compact` makes them.
        seed: of the resampling.

    Raises:
        ValueError: no row has a partner.
    """
    others = {row["seed"]: row for row in worse}
    pairs = [(row, others[row["seed"]]) for row in better if row["seed"] in others]
    if not pairs:
        raise ValueError("no two rows have the same seed")
    right = np.array(expanded(gold["dev"]))
    said = [tuple(np.array(expanded(row["predicted"])) for row in pair) for pair in pairs]
    random = np.random.default_rng(seed)
    drawn = (random.integers(len(right), size=len(right)) for _ in range(RESAMPLES))
    if gold["kind"] == "classification" and gold["metric"] == "accuracy":
        # The score's difference is the mean of what each example adds.
        each = np.mean([(ours == right).astype(float) - (theirs == right) for ours, theirs in said], axis=0)
        whole, found = float(each.mean()), [float(each[rows].mean()) for rows in drawn]
    else:
        whole = _mean_difference(gold, right, said)
        found = [_mean_difference(gold, right[rows], [(a[rows], b[rows]) for a, b in said]) for rows in drawn]
    low, high = np.percentile(found, [2.5, 97.5])
    return Difference(whole, float(low), float(high), len(pairs))


def _mean_difference(gold: Mapping[str, Any], right: NDArray[Any], said: Sequence[tuple[NDArray[Any], ...]]) -> float:
    def score(found: NDArray[Any]) -> float:
        return scores_of(gold["kind"], right, found, len(gold["labels"]))[gold["metric"]]

    return float(np.mean([score(ours) - score(theirs) for ours, theirs in said]))


def compact(values: Sequence[Any]) -> Any:
    """Return labels or scores shorter: class indices below ten as one text of digits, scores with four digits."""
    if all(isinstance(value, int) and 0 <= value < 10 for value in values):
        return "".join(map(str, values))
    return [round(value, 4) if isinstance(value, float) else value for value in values]


def expanded(values: Any) -> list[Any]:
    """Return what `compact` made short."""
    return [int(digit) for digit in values] if isinstance(values, str) else list(values)
