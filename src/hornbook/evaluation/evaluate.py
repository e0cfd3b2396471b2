"""The stage `evaluation`: scores on every split with gold labels, size, and speed."""

import logging
from pathlib import Path
from typing import Any

import torch

from hornbook.evaluation.record import record, scored_splits
from hornbook.models.encode import encode
from hornbook.models.loading import label_order, load_ready_classifier
from hornbook.models.predict import best_device, predict, sentences_per_second
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import learned_length, load_tokenizer, saved_length
from hornbook.recipe import EvaluateConfig
from hornbook.store import Artifact, Destination, StageContext, load, make
from hornbook.tasks import Task, kind_version, open_task
from hornbook.tasks.metrics import ChanceCheck
from hornbook.training.finetune import encode_split

logger = logging.getLogger("hornbook")

VERSION = 2
_MUCH_CUT = 0.01


def evaluate(
    model: Model,
    task: Artifact | Path | str,
    out: Destination,
    config: EvaluateConfig | None = None,
    *,
    teacher: Model | None = None,
    label_names: dict[str, str] | None = None,
) -> Artifact:
    """Score a classifier on dev and test, and measure its size and speed.

    Args:
        model: a classifier: a folder or a hub name.
        task: a prepared task.
        out: the artefact's folder.
        config: batch size and lengths. A model that was saved with a shorter length than `max_length` truncates
            there, as in other programs.
        teacher: a classifier to measure the speed of too; both models take turns.
        label_names: the task's names for the model's labels, if they differ.

    Returns:
        the artefact, stage "evaluation": predictions and confusions (see `record`); `info["scores"]` by split,
        "calibration_error" on dev, "share_cut" of the inputs by split; parameters with and without embeddings, bytes
        of weights; `measured["sentences_per_second"]`.

    Raises:
        HornbookError: the model is not a classifier, or its labels are not the task's.
    """
    config = config or EvaluateConfig()
    task = task if isinstance(task, Artifact) else load(task, "task")

    def build(context: StageContext) -> None:
        _build(context, model_path(model), open_task(task), config, teacher, label_names)

    inputs = {"model": model_key(model), "task": task.key}
    if teacher is not None:
        inputs["teacher"] = model_key(teacher)
    # An earlier version read all models at `max_length`; models that it read alike keep their keys.
    shorter = (learned_length(model) or config.max_length) < config.max_length
    cut = {"cut": "as saved"} if shorter else {}
    return make(
        out,
        stage="evaluation",
        version=VERSION,
        config={"label_names": label_names, **config.model_dump(), **kind_version(task), **cut},
        inputs=inputs,
        build=build,
    )


def _build(
    context: StageContext,
    path: str,
    task: Task,
    config: EvaluateConfig,
    teacher: Model | None,
    label_names: dict[str, str] | None,
) -> None:
    model, tokenizer = load_ready_classifier(path), load_tokenizer(path)
    device = best_device()
    model.to(device)
    columns = label_order(model.config.id2label, task.labels, label_names, path)
    outputs, shares = {}, {}
    limit = _length(tokenizer, config)
    for split in scored_splits(task):
        encoded, _ = encode_split(task, split, tokenizer, limit)
        outputs[split] = predict(model, encoded, config.batch)[:, columns]
        shares[split] = encoded.cut / len(encoded)
    if shares["dev"] > _MUCH_CUT:
        logger.warning("%.1f%% of dev's inputs are truncated at max_length %d", 100 * shares["dev"], limit)
    record(context, task, outputs)
    context.info["share_cut"] = shares
    parameters, embeddings = count_parameters(model)
    context.counts = {"parameters": parameters, "parameters_without_embeddings": parameters - embeddings}
    context.counts["weight_bytes"] = sum(p.numel() * p.element_size() for p in model.parameters())
    table = task.split("dev").slice(0, config.speed_sentences)
    pairs = table["text_pair"].to_pylist() if task.pair else None
    measured = {"model": (model, tokenizer)}
    if teacher is not None:
        where = model_path(teacher)
        measured["teacher"] = (load_ready_classifier(where).to(device), load_tokenizer(where))
    speeds = sentences_per_second(
        {
            name: (one, encode(table["text"].to_pylist(), pairs, reader, _length(reader, config)))
            for name, (one, reader) in measured.items()
        },
        config.batch,
    )
    context.measured["device"] = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    context.measured["sentences_per_second"] = {name: round(speed, 1) for name, speed in speeds.items()}


def _length(tokenizer: Any, config: EvaluateConfig) -> int:
    return min(config.max_length, saved_length(tokenizer))


def chance_check(evaluation: Artifact) -> ChanceCheck:
    """Return how an evaluated model compares with chance on dev."""
    return ChanceCheck(**evaluation.info["chance"])


def count_parameters(model: Any) -> tuple[int, int]:
    """Return the number of parameters of a model, and of its token and position embeddings."""
    embeddings = [m for name, m in model.named_modules() if name.split(".")[-1] == "embeddings"]
    return (
        sum(p.numel() for p in model.parameters()),
        sum(p.numel() for module in embeddings[:1] for p in module.parameters()),
    )
