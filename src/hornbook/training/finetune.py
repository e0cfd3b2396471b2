"""Fine-tuning on gold labels: the teacher before, the student after the distillation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hornbook.artifact import Artifact, Place, Work, load, result_config
from hornbook.models.encode import Batch, Encoded, encode, model_inputs
from hornbook.models.loading import (
    Model,
    load_classifier,
    load_tokenizer,
    model_key,
    model_path,
    quiet_transformers,
    tokenizer_key,
)
from hornbook.models.predict import predict
from hornbook.recipe import AdaptConfig, FamilyConfig, FinetuneConfig
from hornbook.tasks import Task, open_task
from hornbook.tasks.metrics import scores
from hornbook.training.processes import make_together, process
from hornbook.training.steps import StepDataset, StepPlan
from hornbook.training.trainer import Loss, train, use_bfloat16, write_log

VERSION = 2


def finetune(
    model: Model,
    task: Artifact | Path | str,
    out: Place,
    config: FinetuneConfig | None = None,
    *,
    seed: int = 0,
    family: FamilyConfig | None = None,
) -> Artifact:
    """Fine-tune an encoder on a task's gold labels and keep the pass that is best on dev.

    Args:
        model: a model folder or hub name.
        task: a prepared task.
        out: the artefact's folder: a model in Hugging Face format, `log.csv` and the manifest.
        config: learning rate, passes and the like.
        seed: of the new head, the order of the data and dropout.
        family: what the model's configuration calls its dropouts, for a family that is not in the table.

    Returns:
        the artefact, stage "model".

    Raises:
        HornbookError: the model cannot be loaded or the task has no dev split.
    """
    config = config or FinetuneConfig()
    task = task if isinstance(task, Artifact) else load(task, "task")

    def build(work: Work) -> None:
        _build(work, model_path(model), open_task(task), config, seed, family)

    return make_together(
        out,
        stage="model",
        version=VERSION,
        config={"seed": seed, **result_config(config)},
        inputs={"model": model_key(model), "task": task.key, "tokenizer": tokenizer_key(model)},
        build=build,
        seed=seed,
    )


def adapt(
    student: Model,
    task: Artifact | Path | str,
    out: Place,
    config: AdaptConfig | None = None,
    *,
    seed: int = 0,
    family: FamilyConfig | None = None,
) -> Artifact:
    """Adapt a distilled student to its task: fine-tuning, with settings fit for small models; see `finetune`."""
    return finetune(student, task, out, config or AdaptConfig(), seed=seed, family=family)


def _build(
    work: Work, model: str, task: Task, config: FinetuneConfig, seed: int, family: FamilyConfig | None
) -> None:
    tokenizer = load_tokenizer(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = load_classifier(model, task.labels, dropout=config.dropout, family=family)
    train_set, train_labels = encode_split(task, "train", tokenizer, config.max_length)
    dev_set, dev_labels = encode_split(task, "dev", tokenizer, config.max_length)
    plan = StepPlan(train_set.lengths, config.batch, seed, epochs=config.epochs)

    def score() -> float:
        return scores(task.kind, dev_labels, predict(classifier, dev_set))[task.metric]

    index, count = process()
    labels = train_labels if task.labels else train_labels.astype(np.float32)
    most_tokens = config.micro_batch_tokens
    log = train(
        classifier,
        StepDataset(train_set, plan, labels, most_tokens=most_tokens, process=index, processes=count),
        label_loss(bool(task.labels)),
        config,
        description=f"fine-tune {Path(model).name}",
        folder=work.resume,
        seed=seed,
        score=score,
    )
    write_log(log, work.path / "log.csv")
    work.measured["bfloat16"] = use_bfloat16(config.precision)
    save_model(classifier, tokenizer, work.path)
    work.counts = {"steps": plan.count, "tokens": plan.tokens, "parameters": classifier.num_parameters()}
    work.info = {"task": task.name, "best_dev": max(row["score"] for row in log if "score" in row)}


def encode_split(task: Task, split: str, tokenizer: Any, max_length: int) -> tuple[Encoded, NDArray[Any]]:
    """Return a split's token ids and its labels (int64 class indices, or float64 scores)."""
    table = task.split(split)
    pairs = table["text_pair"].to_pylist() if task.pair else None
    return encode(table["text"].to_pylist(), pairs, tokenizer, max_length), table["label"].to_numpy()


def label_loss(classification: bool) -> Loss:
    """Return cross-entropy, or mean squared error for regression, averaged over the sequences."""

    def loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        logits = model(**model_inputs(getattr(model, "module", model), batch)).logits.float()
        if classification:
            return {"labels": nn.functional.cross_entropy(logits, batch["labels"])}
        return {"labels": nn.functional.mse_loss(logits[:, 0], batch["labels"])}

    return loss


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model and its tokenizer in Hugging Face format, in float32."""
    quiet_transformers()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
