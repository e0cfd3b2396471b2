"""Settings of predictions and of measuring speed."""

from typing import Literal

from pydantic import Field

from hornbook.recipe.settings import NOT_IN_KEY, Count, Settings, Share

__all__ = [
    "BenchmarkConfig",
    "PredictConfig",
]


class PredictConfig(Settings):
    """Predictions for the rows of a file."""

    text: str | None = None
    """The column with the text. Default: `text` or `sentence`."""
    text_pair: str | None = None
    """The column with the second text of a pair, for a model of pairs."""
    prefix: str = ""
    """Text put before the names of the new columns, if the file has columns of these names already."""
    bad_rows: Literal["fail", "skip"] = "fail"
    """What to do with a row that cannot be read or has no text: `fail`, or `skip` it and say how many there were."""
    abstain_below: Share | None = None
    """Give no label where the highest probability is below this. For tasks of one label per text."""
    model_format: Literal["int8", "onnx", "pytorch"] | None = None
    """The format of the model to run. Default: the fastest that it has."""
    threads: Count | None = Field(default=None, ge=1, json_schema_extra=NOT_IN_KEY)
    """Number of threads. Default: one for each core."""


class BenchmarkConfig(Settings):
    """How fast models classify."""

    batches: tuple[Count, ...] = Field(default=(1, 8, 32), min_length=1)
    """Numbers of texts that are classified at a time."""
    texts: Count = Field(default=512, ge=1)
    """Number of texts, drawn at random."""
    rounds: Count = Field(default=5, ge=1)
    """The models take turns this many times."""
    seconds: float = Field(default=0.4, gt=0)
    """Time for a model and a batch size in a round; one call is made in any case."""
    threads: Count = Field(default=1, ge=1)
    """Number of threads that share the work of a batch."""
