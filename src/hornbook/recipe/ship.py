"""Settings of the export that ends a run."""

import re
from typing import Annotated

from pydantic import AfterValidator

from hornbook.recipe.export import ExportConfig
from hornbook.recipe.settings import Name

__all__ = [
    "ShipConfig",
]


def _repository(name: str) -> str:
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", name, re.ASCII):
        raise ValueError("not a repository of the hub; write NAME or OWNER/NAME")
    return name


Repository = Annotated[str, AfterValidator(_repository)]


class ShipConfig(ExportConfig):
    """The export of one student of a run: to ONNX, for other programs."""

    student: Name | None = None
    """The student: the name of its textbook. Default: the one with the best mean score on dev. Of its seeds the best
    on dev is exported."""
    benchmark: bool = False
    """Measure how fast teacher and student classify in each of their formats, as `hornbook benchmark` does."""
    push_to_hub: Repository | None = None
    """Upload the export to this repository of the Hugging Face hub: NAME or OWNER/NAME."""
    public: bool = False
    """Make a new repository public, or accept one that is. Default: private."""
