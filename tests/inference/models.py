"""An exported tiny classifier, without the comparison that the stage makes."""

from pathlib import Path
from typing import Any

from tests.export.models import LENGTH, save_classifier

from hornbook.export.files import GRAPH, write_files
from hornbook.export.graph import write_graph
from hornbook.models.loading import load_ready_classifier
from hornbook.models.tokenizers import load_tokenizer


def export(folder: Path, kind: str = "classification", length: int = LENGTH, **settings: Any) -> Path:
    """Save a random classifier, and its graph beside it; settings are those of `save_classifier`."""
    student = str(save_classifier(folder.with_name(f"{folder.name}-student"), kind=kind, length=length, **settings))
    model = load_ready_classifier(student).eval()
    (folder / GRAPH).parent.mkdir(parents=True)
    write_files(model, load_tokenizer(student), folder, length)
    write_graph(model, folder / GRAPH)
    return folder
