"""Fit a classifier to its task: the teacher before the distillation, the student after it."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hornbook.errors import HornbookError, TrainingError
from hornbook.metrics import score_of
from hornbook.models.encode import Batch, Encoded, encode, encode_split, model_inputs
from hornbook.models.families import family_settings
from hornbook.models.loading import has_head_for, load_classifier
from hornbook.models.predict import predict
from hornbook.models.saving import save_model
from hornbook.models.scale import Scale, fitted, in_unit, output_layer, scale_of, take_up
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key, warn_of_length
from hornbook.recipe import AdaptConfig, FamilyConfig, FinetuneConfig
from hornbook.store import MANIFEST, RUN, Artifact, Destination, StageContext, load, result_config
from hornbook.tasks import Task, kind_version, open_task
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.labels import Kind
from hornbook.training.checkpoints import bytes_needed
from hornbook.training.labels import balanced_weights, gold_loss, soft_loss
from hornbook.training.outputs import STAGE as OUTPUTS
from hornbook.training.outputs import Outputs, open_outputs
from hornbook.training.processes import CELL, make_together, process
from hornbook.training.steps import StepDataset, StepPlan
from hornbook.training.trainer import Loss, Scoring, train, use_bfloat16, write_log

logger = logging.getLogger("hornbook")

VERSION = 3
GOLD, TEACHER = "gold", "teacher"
_GOLD_WEIGHT, _TEACHER_WEIGHT = "gold_weight", "teacher_weight"


def finetune(
    model: Model,
    task: Artifact | Path | str,
    out: Destination,
    config: FinetuneConfig | None = None,
    *,
    seed: int = 0,
    family: FamilyConfig | None = None,
) -> Artifact:
    """Fine-tune an encoder on a task's gold labels and keep the weights that score best on dev.

    With a grid, every combination is trained, one after another, and the best on dev is the result.

    Args:
        model: a model folder or hub name.
        task: a prepared task.
        out: the artefact's folder: a model in Hugging Face format, `log.csv` and the manifest.
        config: learning rate, passes and so on.
        seed: the seed of the new head, the order of the data and dropout.
        family: the names of the model's dropout settings, for a family that is not in the table.

    Returns:
        the artefact, stage "model". Its info: `best_dev`, at `best_step`; `share_cut`, the share of train texts that
        were truncated; with a grid `grid`, the scores of all combinations, and `chosen`.

    Raises:
        HornbookError: the model cannot be loaded or the task has no dev split.
    """
    return _fit(model, task, out, config or FinetuneConfig(), None, seed, family)


def adapt(
    student: Model,
    task: Artifact | Path | str,
    out: Destination,
    config: AdaptConfig | None = None,
    *,
    outputs: Artifact | None = None,
    seed: int = 0,
    family: FamilyConfig | None = None,
) -> Artifact:
    """Adapt a student to its task: to gold labels, a teacher's outputs or both (paper, section 2.2, step 3).

    Like `finetune`, with defaults for small models.

    Args:
        student: a distilled student, or any model folder or hub name.
        task: a prepared task.
        out: the artefact's folder.
        config: settings; `labels` selects what the student is fitted to.
        outputs: a teacher's outputs on the task's texts (see `teacher_outputs`), unless `labels` is gold.
        seed: the seed of the new head, the order of the data and dropout.
        family: as for `finetune`.

    Returns:
        the artefact, stage "model"; see `finetune`.

    Raises:
        HornbookError: as `finetune`; or the outputs are missing, or for another task.
    """
    config = config or AdaptConfig()
    if config.labels == GOLD:
        outputs = None
    elif outputs is None:
        raise HornbookError(f"adapt.labels: {config.labels} needs a teacher")
    return _fit(student, task, out, config, outputs, seed, family)


def _fit(
    model: Model,
    task: Artifact | Path | str,
    out: Destination,
    config: FinetuneConfig,
    outputs: Artifact | None,
    seed: int,
    family: FamilyConfig | None,
) -> Artifact:
    task = task if isinstance(task, Artifact) else load(task, "task")
    inputs = {"model": model_key(model), "task": task.key, "tokenizer": tokenizer_key(model)}
    if outputs is not None:
        if outputs.stage != OUTPUTS or outputs.manifest["inputs"]["task"] != task.key:
            raise HornbookError(f"{outputs.path}: does not hold a teacher's outputs for the task {task.path}")
        inputs["outputs"] = outputs.key

    def build(context: StageContext) -> None:
        if config.grid:
            _build_grid(context, model, task, config, outputs, seed, family)
        else:
            _build(context, model_path(model), open_task(task), config, outputs, seed, family)

    return make_together(
        out,
        stage="model",
        version=VERSION,
        config={
            "seed": seed,
            "family": family_settings(family) if config.dropout is not None else None,
            **_settings_for_key(config),
            **kind_version(task),
        },
        inputs=inputs,
        build=build,
        seed=seed,
    )


def _settings_for_key(config: FinetuneConfig) -> dict[str, Any]:
    """Return the settings that affect this run: not those for labels that are not used."""
    settings = result_config(config)
    if isinstance(config, AdaptConfig) and not config.grid:
        unused = {GOLD: ("gold_weight", "temperature", "textbook_units"), TEACHER: ("gold_weight",), "both": ()}
        for name in unused[config.labels]:
            settings.pop(name)
    return settings


def _build_grid(
    context: StageContext,
    model: Model,
    task: Artifact,
    config: FinetuneConfig,
    outputs: Artifact | None,
    seed: int,
    family: FamilyConfig | None,
) -> None:
    cells = config.cells()
    rows: list[dict[str, Any]] = []
    made: list[tuple[Artifact, dict[str, Any]]] = []
    for i, cell in enumerate(cells):
        chosen = {name: getattr(cell, name) for name in config.grid}
        try:
            fitted = _fit(model, task, context.resume / f"{CELL}{i}", cell, outputs, seed, family)
        except TrainingError as error:  # other combinations may succeed
            rows.append({**chosen, "dev": None, "failed": str(error)})
        else:
            rows.append({**chosen, "dev": fitted.info["best_dev"]})
            made.append((fitted, chosen))
        logger.info("%d of %d in the grid: %s", i + 1, len(cells), json.dumps(rows[-1]))
    if not made:
        raise TrainingError(f"every combination in the grid failed; the first: {rows[0]['failed']}")
    best, chosen = max(made, key=lambda found: found[0].info["best_dev"])
    shutil.copytree(best.path, context.path, ignore=shutil.ignore_patterns(MANIFEST, RUN), dirs_exist_ok=True)
    context.counts = dict(best.counts)
    context.info = {**best.info, "grid": rows, "chosen": chosen}
    context.measured["cells"] = [artifact.measured["seconds"] for artifact, _ in made]


def _build(
    context: StageContext,
    model: str,
    task: Task,
    config: FinetuneConfig,
    outputs: Artifact | None,
    seed: int,
    family: FamilyConfig | None,
) -> None:
    tokenizer = load_tokenizer(model)
    warn_of_length("max_length", config.max_length, model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = load_classifier(model, task.labels, task.kind, dropout=config.dropout, family=family)
    taught = None if outputs is None else open_outputs(outputs)
    dev_set, dev_gold = encode_split(task, "dev", tokenizer, config.max_length)
    scale, layer = None, None
    if KINDS[task.kind].is_standardised:
        layer = output_layer(classifier, dev_set)
        scale = _scale(task, config, taught, centred=layer.bias is not None)
    learned, columns = training_data(task, tokenizer, config, taught, scale)
    if layer is not None and scale is not None and has_head_for(model, task.labels, task.kind):
        take_up(classifier, layer, scale, learned, _expected_scores(columns), model)
    plan = StepPlan(learned.lengths, config.batch, seed, epochs=config.epochs)

    def score() -> float:
        found = predict(classifier, dev_set)
        found = found if scale is None else scale.in_unit(found)
        return score_of(task.kind, task.metric, dev_gold, KINDS[task.kind].predicted(found))

    context.needed = bytes_needed(classifier, scored=True)
    index, count = process()
    max_tokens = config.micro_batch_tokens
    dataset = StepDataset(learned, plan, columns, max_tokens=max_tokens, process=index, processes=count)
    adapt_config = config if isinstance(config, AdaptConfig) else None
    log = train(
        classifier,
        dataset,
        task_loss(task.kind, adapt_config.temperature if adapt_config else 1.0),
        config,
        description="adapt" if adapt_config else "fine-tune",
        folder=context.resume,
        seed=seed,
        scoring=Scoring(score, config.evaluate_steps, config.patience),
    )
    write_log(log, context.path / "log.csv")
    context.measured["bfloat16"] = use_bfloat16(config.precision)
    if layer is not None and scale is not None:
        scale = fitted(classifier, layer, scale, learned, _expected_scores(columns))
    with in_unit(layer, scale):
        save_model(classifier, tokenizer, context.path, config.max_length)
    _record(context, log, dataset, task)
    context.counts["parameters"] = classifier.num_parameters()


def _record(context: StageContext, log: list[dict[str, float]], dataset: StepDataset, task: Task) -> None:
    """Record the counts of steps and tokens, and the best score."""
    plan, steps = dataset.plan, int(log[-1]["step"])
    tokens = sum(dataset.tokens(step) for step in range(steps)) if steps < plan.count else plan.tokens
    context.counts = {"steps": steps, "tokens": tokens}
    best = max((row for row in log if "score" in row), key=lambda row: row["score"])
    context.info = {
        "task": task.name,
        "metric": task.metric,
        "best_dev": best["score"],
        "best_step": int(best["step"]),
        "share_cut": dataset.encoded.cut / len(dataset.encoded),
    }


def _scale(task: Task, config: FinetuneConfig, taught: Outputs | None, *, centred: bool) -> Scale:
    """Return the scale on which scores are learned: of gold scores, or of a teacher's if only these are learned."""
    if taught is not None and isinstance(config, AdaptConfig) and config.labels == TEACHER:
        own = taught.train[np.isfinite(taught.train)]
        own = own if len(own) else taught.units
        return scale_of(own, f"{task.name}: the teacher's outputs on train", centred=centred)
    return scale_of(task.gold("train"), f"{task.name}: train", centred=centred)


def _expected_scores(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Return the scores that a regression learns for its first texts: gold scores where they count."""
    return columns[GOLD][columns[_GOLD_WEIGHT] > 0] if GOLD in columns else columns[TEACHER][:, 0]


def training_data(
    task: Task, tokenizer: Any, config: FinetuneConfig, outputs: Outputs | None = None, scale: Scale | None = None
) -> tuple[Encoded, dict[str, NDArray[Any]]]:
    """Return the training data of a classifier: token ids, and the columns of `task_loss`.

    Args:
        task: the task, for the train split and its gold labels.
        tokenizer: the classifier's.
        config: lengths, class weights, and the weights of gold labels and teacher's outputs.
        outputs: a teacher's outputs; its units of a textbook follow the train split, without gold labels.
        scale: for a regression, the scale that standardises all scores, the teacher's too.

    Returns:
        the sequences; and arrays by name, one row for each sequence: labels or outputs, and their weights.
    """
    train, gold = task.split("train"), task.gold("train")
    texts = train["text"].to_pylist()
    pairs = train["text_pair"].to_pylist() if task.pair else None
    if KINDS[task.kind].is_standardised:
        gold = gold.astype(np.float32) if scale is None else scale.standardised(gold)
    balanced = config.class_weights == "balanced"
    weights = balanced_weights(task.kind, gold, len(task.labels)) if balanced else np.ones(gold.shape, np.float32)
    if outputs is None or not isinstance(config, AdaptConfig):
        return encode(texts, pairs, tokenizer, config.max_length), {GOLD: gold, _GOLD_WEIGHT: weights}
    known: NDArray[np.bool_] = np.all(np.isfinite(outputs.train), axis=1)  # a file may label some texts only
    if config.labels == TEACHER:
        texts, pairs = _only(known, texts), None if pairs is None else _only(known, pairs)
        gold, weights, taught, known = gold[known], weights[known], outputs.train[known], known[known]
    else:
        taught = np.where(known[:, None], outputs.train, 0)
    texts += outputs.texts
    if pairs is not None:
        pairs += outputs.pairs or []
    if not texts:
        raise HornbookError(f"{task.name}: the teacher's file labels no text of train and no unit to adapt to")
    share = config.gold_weight if config.labels == "both" else 0.0
    without = np.zeros((len(outputs.texts), *gold.shape[1:]), gold.dtype)
    taught = np.concatenate([taught, outputs.units]) if outputs.texts else taught
    columns: dict[str, NDArray[Any]] = {
        TEACHER: taught if scale is None else scale.standardised(taught),
        # rows without a gold label learn from the teacher's outputs alone
        _TEACHER_WEIGHT: np.concatenate([known * (1 - share), np.ones(len(without))]).astype(np.float32),
    }
    if share:
        # and rows that the teacher did not label from gold labels alone
        own = np.where(known, np.float32(share), np.float32(1)).reshape(-1, *[1] * (weights.ndim - 1))
        columns |= {
            GOLD: np.concatenate([gold, without]),
            _GOLD_WEIGHT: np.concatenate([weights * own, without.astype(np.float32)]),
        }
    return encode(texts, pairs, tokenizer, config.max_length), columns


def _only(kept: NDArray[np.bool_], texts: Sequence[str]) -> list[str]:
    return [text for text, keep in zip(texts, kept, strict=True) if keep]


def task_loss(kind: Kind, temperature: float = 1.0) -> Loss:
    """Return the loss of a classifier on a batch, averaged over its sequences.

    The batch's columns, one pair or both: "gold" and "gold_weight", labels and their weights; "teacher" and
    "teacher_weight", another classifier's outputs and a weight for each row.

    Args:
        kind: the kind of the task.
        temperature: the temperature of `soft_loss`.

    Returns:
        a function of model and batch; its losses are named "gold" and "teacher".
    """

    def loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        outputs = model(**model_inputs(getattr(model, "module", model), batch)).logits.float()
        losses = {}
        if GOLD in batch:
            losses[GOLD] = (gold_loss(kind, outputs, batch[GOLD]) * batch[_GOLD_WEIGHT]).mean()
        if TEACHER in batch:
            of_teacher = soft_loss(kind, outputs, batch[TEACHER], temperature)
            losses[TEACHER] = (of_teacher * batch[_TEACHER_WEIGHT]).mean()
        return losses

    return loss
