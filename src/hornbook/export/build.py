"""The stage `export`: a classifier as one folder that other programs load, published only if it answers alike."""

import logging
from pathlib import Path
from typing import Any

from hornbook.export import int8
from hornbook.export.calibrate import calibration
from hornbook.export.card import write_card
from hornbook.export.files import CALIBRATION, GRAPH, write_files
from hornbook.export.gate import samples
from hornbook.export.graph import OPSET, write_graph
from hornbook.export.session import OnnxClassifier
from hornbook.export.verify import compare, texts_to_compare
from hornbook.machine.progress import progress
from hornbook.models.loading import kind_of, load_ready_classifier
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import learned_length, load_tokenizer, saved_length, tokenizer_key
from hornbook.recipe import ExportConfig
from hornbook.store import Artifact, Destination, StageContext, load, make
from hornbook.store.files import write_json
from hornbook.tasks.kinds import KINDS

STAGE = "export"
VERSION = 3
_COMPARED = 2000
_MADE_UP = 400

logger = logging.getLogger("hornbook")


def export_student(
    student: Model,
    out: Destination,
    config: ExportConfig | None = None,
    *,
    task: Artifact | Path | str | None = None,
    textbook: Artifact | Path | str | None = None,
) -> Artifact:
    """Export a classifier to ONNX, beside its PyTorch weights, in a folder that common loaders and servers open.

    It is published only if its float32 logits are within 1e-4 of PyTorch's on 2,000 texts, alone and in batches. An
    int8 graph is added if it passes the gate, see `hornbook.export.gate`.

    Args:
        student: a classifier: an artefact, a folder or a hub name.
        out: the artefact's folder. A model card is written beside its files, see `hornbook.export.card`.
        config: the limits of the gate; default: those of `ExportConfig`.
        task: a prepared task, whose dev split is for the gate and for the temperature.
        textbook: a finished textbook, whose units are for the gate.

    Returns:
        the artefact, stage "export": see `hornbook.export`; `counts["graph_bytes"]`, `counts["compared_texts"]`;
        `info["labels"]`, `info["max_length"]`; `info["int8"]`: what was tried, and what was published or why nothing
        was (see `hornbook.export.int8`); with a task `info["calibration"]`; `measured["largest_difference"]` of a
        logit.

    Raises:
        HornbookError: the model is not a classifier, its family cannot be exported, or the graph answers otherwise.
    """
    config = config or ExportConfig()
    of_task = _artifact(task, "task")
    of_textbook = _artifact(textbook, "textbook")
    path = model_path(student)
    planned = isinstance(student, Artifact) and student.planned
    length = (learned_length(student) or 0) if planned else saved_length(load_tokenizer(path))

    def build(context: StageContext) -> None:
        _build(context, path, length, config, of_task, of_textbook)

    given = {"task": of_task, "textbook": of_textbook}
    made = make(
        out,
        stage=STAGE,
        version=VERSION,
        config={"max_length": length, "opset": OPSET, **_settings_for_key(config)},
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


def _build(
    context: StageContext,
    path: str,
    length: int,
    config: ExportConfig,
    task: Artifact | None,
    textbook: Artifact | None,
) -> None:
    model: Any = load_ready_classifier(path).eval()
    tokenizer = load_tokenizer(path)
    kind = KINDS[kind_of(model.config)]
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
    student, names = OnnxClassifier(context.path), model.config.id2label
    asked = samples(student, names, task, textbook if config.quantize else None, config.units)
    if config.calibrate and (found := calibration(kind, asked)) is not None:
        write_json(context.path / CALIBRATION, {"temperature": found["temperature"], "examples": found["examples"]})
        context.info["calibration"] = found
    if not config.quantize:
        return
    context.info["int8"], context.measured["int8"] = int8.publish(
        context.path, kind, asked, texts_to_compare(tokenizer, _MADE_UP, None, None), length, config
    )
    if (bytes_ := context.info["int8"].get("bytes")) is not None:
        context.counts["int8_bytes"] = bytes_
    else:
        logger.warning("int8 is not published: %s", context.info["int8"]["why_not"])


def _settings_for_key(config: ExportConfig) -> dict[str, Any]:
    """Return the settings; newer ones only where they are not at their default, so that older keys stay."""
    default = ExportConfig().model_dump()
    newer = {"quantize", "units"}
    return {name: value for name, value in config.model_dump().items() if name not in newer or value != default[name]}


def _artifact(given: Artifact | Path | str | None, stage: str) -> Artifact | None:
    return given if isinstance(given, Artifact | None) else load(given, stage)
