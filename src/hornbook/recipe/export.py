"""Settings of exports."""

from pydantic import Field

from hornbook.recipe.settings import Count, Settings, Share

__all__ = [
    "ExportConfig",
]


class ExportConfig(Settings):
    """Exports to ONNX."""

    quantize: bool = True
    """Add an int8 graph if one passes the gate."""
    agreement: Share = 0.98
    """Publish int8 only if it gives at least this share of texts the student's label. For scores: the correlation."""
    most_loss: float = Field(default=0.5, ge=0)
    """Publish int8 only if the 95% interval of its loss on dev ends below this many points."""
    units: Count = Field(default=10_000, ge=1)
    """Compare int8 with the student on this many units of the textbook, besides dev."""
    allow_loss: bool = False
    """Publish the fastest int8 graph, whatever it loses."""
    calibrate: bool = True
    """Fit a temperature on dev, by which predictions divide logits."""
