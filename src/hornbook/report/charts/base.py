"""What all charts share: size, colours, and the caption that goes with a chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

WIDTH, HEIGHT = 420, 220
# Distinguishable in print and with every kind of colour vision (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#888888")
Points = list[dict[str, Any]]
"""The data of a chart, a mapping for each of its marks."""


@dataclass(frozen=True)
class Chart:
    """A chart with its name and caption.

    Attributes:
        name: of the file, or of the place in a page.
        spec: the Altair chart.
        caption: what it shows, in a sentence.
    """

    name: str
    spec: Any
    caption: str


def chart_of(points: Points) -> Any:
    """Return a chart of these points without marks yet."""
    return alt.Chart(alt.Data(values=points))  # type: ignore[no-untyped-call]


def colour(field: str, names: Sequence[str], present: Sequence[str] | None = None) -> alt.Color:
    """Return the colours of a field with these values; the legend has those that are present, all by default."""
    colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(names))]
    legend = alt.Legend(values=list(present if present is not None else names))
    scale = alt.Scale(domain=list(names), range=colours)
    return alt.Color(f"{field}:N", sort=list(names), title=None, scale=scale, legend=legend)
