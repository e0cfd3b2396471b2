"""Figures in words."""

import math
from collections.abc import Sequence

from hornbook.results.rows import Spread


def percent(share: float) -> str:
    """Return a score or a share in percent, with one decimal."""
    return f"{100 * share:.1f}"


def score(found: Spread | None) -> str:
    """Return a mean score in percent, ± the standard deviation over seeds; `none` if it is missing."""
    if found is None:
        return "none"
    return percent(found.mean) + ("" if found.spread is None else f" ± {percent(found.spread)}")


def amount(value: float) -> str:
    """Return an error in the unit of the scores with four figures: 0.4183, 23.10, 12,345."""
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
