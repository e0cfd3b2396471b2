"""The stage `export`: a classifier as one folder that other programs load, published only if it answers alike."""

from pathlib import Path
from typing import Any

from hornbook.export.card import write_card
from hornbook.export.files import GRAPH, write_files
from hornbook.export.graph import OPSET, write_graph
from hornbook.export.verify import compare, texts_to_compare
from hornbook.machine.progress import progress
from hornbook.models.loading import load_ready_classifier
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import learned_length, load_tokenizer, saved_length, tokenizer_key
from hornbook.store import Artifact, Destination, StageContext, load, make

STAGE = "export"
VERSION = 1
_COMPARED = 2000


def export_student(
    student: Model,
    out: Destination,
    *,
    task: Artifact | Path | str | None = None,
    textbook: Artifact | Path | str | None = None,
) -> Artifact:
    """Export a classifier to ONNX, beside its PyTorch weights, in a folder that common loaders and servers open.

    It is published only if its float32 logits are within 1e-4 of PyTorch's on 2,000 texts, alone and in batches.

    Args:
        student: a classifier: an artefact, a folder or a hub name.
        out: the artefact's folder. A model card is written beside its files, see `hornbook.export.card`.
        task: a prepared task, whose dev texts are compared too.
        textbook: a finished textbook, whose units are compared too.

    Returns:
        the artefact, stage "export": see `hornbook.export`; `counts["graph_bytes"]`, `counts["compared_texts"]`;
        `info["labels"]`, `info["max_length"]`; `measured["largest_difference"]` of a logit.

    Raises:
        HornbookError: the model is not a classifier, its family cannot be exported, or the graph answers otherwise.
    """
    of_task = _artifact(task, "task")
    of_textbook = _artifact(textbook, "textbook")
    path = model_path(student)
    planned = isinstance(student, Artifact) and student.planned
    length = (learned_length(student) or 0) if planned else saved_length(load_tokenizer(path))

    def build(context: StageContext) -> None:
        _build(context, path, length, of_task, of_textbook)

    given = {"task": of_task, "textbook": of_textbook}
    made = make(
        out,
        stage=STAGE,
        version=VERSION,
        config={"max_length": length, "opset": OPSET},
        inputs={
            "model": model_key(student),
            "tokenizer": tokenizer_key(student),
            **{name: one.key for name, one in given.items() if one is not None},
        },
        build=build,
    )
    if not made.planned:
        write_card(made, student)
    return made


def _build(context: StageContext, path: str, length: int, task: Artifact | None, textbook: Artifact | None) -> None:
    model: Any = load_ready_classifier(path).eval()
    tokenizer = load_tokenizer(path)
    graph = context.path / GRAPH
    graph.parent.mkdir()
    with progress("exporting", 2, "files") as done:
        write_files(model, tokenizer, context.path, length)
        done.advance()
        write_graph(model, graph)
        done.advance()
    texts = texts_to_compare(tokenizer, _COMPARED, task, textbook)
    difference = compare(model, tokenizer, context.path, texts, length)
    context.counts = {"graph_bytes": graph.stat().st_size, "compared_texts": len(texts)}
    context.info = {"labels": list(model.config.id2label.values()), "max_length": length}
    context.measured["largest_difference"] = difference


def _artifact(given: Artifact | Path | str | None, stage: str) -> Artifact | None:
    return given if isinstance(given, Artifact | None) else load(given, stage)
