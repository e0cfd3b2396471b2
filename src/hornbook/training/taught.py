"""A task without labels, labelled by its teacher: a model that is asked, or a file."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.metrics import FIDELITY
from hornbook.models.encode import encode
from hornbook.models.loading import kind_of, label_order, load_ready_classifier, ready_config
from hornbook.models.predict import best_device, predict
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import load_tokenizer
from hornbook.store import Artifact, Destination, StageContext, make
from hornbook.tasks import Task, open_task
from hornbook.tasks.answers import STAGE as ANSWERS
from hornbook.tasks.answers import open_answers
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.task import BY_TEACHER

logger = logging.getLogger("hornbook")

_VERSION = 1
_ROWS = 16_384
Ask = Callable[[pa.Table], NDArray[np.float32]]


def is_file(teacher: Model) -> bool:
    """Return whether a teacher is a file: an artefact of `tasks.answers`."""
    return isinstance(teacher, Artifact) and teacher.stage == ANSWERS


def taught_task(
    texts: Artifact,
    teacher: Model,
    out: Destination,
    *,
    max_length: int = 128,
    label_names: dict[str, str] | None = None,
) -> Artifact:
    """Label a task without labels by its teacher; texts that a file does not label are left out.

    Args:
        texts: a prepared task without labels.
        teacher: a classifier (a model folder or hub name), or the artefact of a file (`tasks.answers`).
        out: the artefact's folder.
        max_length: truncate texts to this many tokens.
        label_names: other names for the teacher's labels.

    Returns:
        the artefact, stage "task": as `tasks.prepare`, and the teacher's outputs on all splits. Labels are what it
        predicts; `Task.by_teacher` is true.

    Raises:
        HornbookError: the teacher is not a classifier, names one class only, or a file labels no text of a split.
    """

    def build(context: StageContext) -> None:
        task = open_task(texts)
        if isinstance(teacher, Artifact) and is_file(teacher):
            found = open_answers(teacher)
            _build(context, task, found.kind, found.labels, found.of)
        else:
            _build(context, task, *classifier(model_path(teacher), task.labels, max_length, label_names, task.pair))

    config = {"taught": _VERSION, "name": "", "kind": "auto", "split": "of the texts", "label_names": label_names}
    if isinstance(teacher, Artifact) and is_file(teacher):
        key = teacher.key
    else:
        key = model_key(teacher)
        config |= {"kind": kind_of(ready_config(model_path(teacher))), "max_length": max_length}
    return make(
        out,
        stage="task",
        version=_VERSION,
        config=config,
        inputs={"texts": texts.key, "teacher": key},
        build=build,
    )


def classifier(
    path: str, labels: Sequence[str], max_length: int, label_names: dict[str, str] | None, pair: bool
) -> tuple[str, tuple[str, ...], Ask]:
    """Load a classifier to ask.

    Args:
        path: a model folder or hub name.
        labels: the names of its outputs in the wanted order; by default its own.
        max_length: truncate texts to this many tokens.
        label_names: other names for its labels.
        pair: whether texts are pairs.

    Returns:
        the kind of its task, its labels, and a function from texts to outputs, shape (rows, labels).

    Raises:
        HornbookError: it is not a classifier, or its labels are not those.
    """
    model, tokenizer = load_ready_classifier(path), load_tokenizer(path)
    kind = kind_of(model.config)
    own = [model.config.id2label[i] for i in range(model.config.num_labels)]
    if not labels and KINDS[kind].has_classes:
        labels = [(label_names or {}).get(name, name) for name in own]
    columns = label_order(model.config.id2label, labels, label_names, path)
    model.to(best_device())

    def ask(table: pa.Table) -> NDArray[np.float32]:
        found = [np.zeros((0, len(columns)), np.float32)]
        with progress("label texts with the teacher", len(table), "texts") as counter:
            for start in range(0, len(table), _ROWS):
                part = table.slice(start, _ROWS)
                pairs = part["text_pair"].to_pylist() if pair else None
                encoded = encode(part["text"].to_pylist(), pairs, tokenizer, max_length)
                found.append(predict(model, encoded)[:, columns].astype(np.float32))
                counter.advance(len(part))
        return np.concatenate(found)

    return kind, tuple(labels), ask


def _build(context: StageContext, task: Task, name: str, labels: Sequence[str], ask: Ask) -> None:
    kind = KINDS[name]
    said = {}
    for split in task.splits:
        table = task.split(split).select(["text", "text_pair"])
        outputs = ask(table)
        known: NDArray[np.bool_] = np.all(np.isfinite(outputs), axis=1)
        table, outputs = table.filter(pa.array(known)), outputs[known]
        _refuse_few(task, split, len(known), len(table))
        if not len(table):  # a split that nothing needs
            continue
        said[split] = kind.predicted(outputs)
        table = table.append_column("label", pa.array(said[split].tolist(), kind.label_type))
        values = pa.array(list(outputs), pa.list_(pa.float32()))
        pq.write_table(table.append_column("outputs", values), context.path / f"{split}.parquet", compression="zstd")
        context.counts[f"{split}_rows"] = len(table)
        context.counts |= {f"{split}_not_labelled": len(known) - len(table)} if len(table) < len(known) else {}
    for split in ("train", "dev"):
        refuse_one_answer(task.name, split, kind.named(said[split], labels).to_pylist())
    context.info |= {
        "name": task.name,
        "kind": name,
        "labels": list(labels),
        "labels_read": f"labels: {name}, the teacher's",
        "pair": task.pair,
        "metric": next(iter(FIDELITY[name])),
        "splits": list(said),
        "split": {split: how for split, how in task.artifact.info["split"].items() if split in said},
        "majority_share_of_dev": kind.majority_share(said["dev"]),
        BY_TEACHER: True,
    }


def _refuse_few(task: Task, split: str, texts: int, labelled: int) -> None:
    """Warn of texts that have no label, and refuse a split that students need and that has none."""
    if labelled == texts:
        return
    logger.warning("%s: the teacher's file labels %d of the %d texts of %s", task.name, labelled, texts, split)
    if not labelled and split in ("train", "dev"):
        why = "students are compared with their teacher on dev" if split == "dev" else "students are adapted on train"
        raise HornbookError(f"{task.name}: teacher.file labels no text of {split}; label the task's texts too: {why}")


def refuse_one_answer(name: str, split: str, said: Sequence[object]) -> None:
    """Refuse a teacher that answers the same to all texts.

    Args:
        name: of the task.
        split: of the texts.
        said: its answers.

    Raises:
        HornbookError: all are the same.
    """
    if all(one == said[0] for one in said):
        raise HornbookError(
            f"{name}: the teacher says {str(said[0])[:60]!r} of all {len(said)} texts of {split}; a student would "
            "learn nothing from it: are these texts what it was trained for?"
        )
