"""Write a commented recipe for your own data; the comments are the docstrings of the settings."""

import logging
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from hornbook.errors import HornbookError, Unreachable, one_line
from hornbook.machine import hub
from hornbook.machine.extras import explain_missing_extra
from hornbook.recipe import (
    BASE_SIZE,
    NO_LABEL,
    AdaptConfig,
    AnchoredConfig,
    ContextualizedConfig,
    DistilConfig,
    Recipe,
    StudentConfig,
    config_class,
    suggested_batch,
    suggested_distil_rate,
    suggested_passes,
    suggested_rate,
    validate,
)
from hornbook.store import write_text

logger = logging.getLogger("hornbook")

_SIZES = "num_hidden_layers", "hidden_size"
_WIDTH = 110
_COMMENTS_AT = 28
_UNITS_TO_LABEL = 8_000  # of a textbook, for a student of a teacher without gold labels
_HEAD = """\
# A small encoder for the task {name}. Edit it, then:
#   hornbook run {out} --check      checks the recipe and its sources
#   hornbook run {out} --dry-run    shows the stages with time and disk space
#   hornbook run {out}              runs them; finished stages are reused
# Paths are relative to the folder where you run it. Settings that are not listed have their defaults.
# Override any setting on the command line: --distil.tokens 3e6.
"""


@hub.briefly()
def write_recipe(
    out: Path,
    *,
    task: Path,
    teacher: str,
    corpus: Sequence[str],
    student: str,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write a recipe with the most important settings, each explained by a comment.

    Args:
        out: the file; it must not exist.
        task: the file with labelled data.
        teacher: the teacher model, a folder or hub name.
        corpus: sources of general text.
        student: the student's size, LAYERSxHIDDEN such as "6x384".
        settings: settings of the task, such as the columns `text`, `text_pair` and `label`.

    Raises:
        HornbookError: the size is malformed, the task or a source is missing or wrong, or `out` exists.
    """
    from hornbook import tasks
    from hornbook.corpus.sources import find_sources

    size = re.fullmatch(r"(\d+)x(\d+)", student)
    if size is None:
        raise HornbookError(f"--student {student}: give LAYERSxHIDDEN, such as 6x384")
    if out.exists():
        raise HornbookError(f"{out}: exists already; choose another name with --out")
    if not task.exists():
        raise HornbookError(f"{task}: no such file")
    values = _values(task, teacher, corpus, (int(size[1]), int(size[2])), settings or {})
    recipe = validate(Recipe, values, "hornbook new")
    labels = tasks.check(recipe.task)
    if recipe.task.is_labelled:
        # Write down the detected kind: it must not change when the data file does, and the user can edit it.
        values["task"]["kind"] = labels.kind
    else:
        _refuse_unready(teacher)
    find_sources(recipe.corpus.sources)
    rows = min(len(labels.values["train"]), recipe.task.train_rows or sys.maxsize)
    config = _config_of(recipe.teacher.model)
    # The names that transformers has in all families; a family of the user's own need not be described yet.
    layers, hidden = (int(getattr(config, name, base)) for name, base in zip(_SIZES, BASE_SIZE, strict=True))
    passes, batch, rate = suggested_passes(rows), suggested_batch(rows), suggested_rate(layers, hidden)
    if recipe.task.is_labelled:
        values["teacher"]["finetune"] = {"epochs": passes, "batch": batch, "learning_rate": rate}
    known = "" if all(hasattr(config, name) for name in _SIZES) else " (its own size was not known)"
    values["student"]["init"], start = _start(config, recipe.student)
    values["adapt"] = {"epochs": 2 * passes, "batch": batch, **_defaults(AdaptConfig, ("learning_rate",))}
    if not recipe.task.is_labelled:
        values["adapt"] |= {"labels": "teacher", "textbook_units": _UNITS_TO_LABEL}
    why = {
        "student": start,
        "finetune": f"Chosen for a teacher of {layers}x{hidden}{known} "
        f"and {rows:,} rows: narrow and shallow encoders need higher rates, few rows more passes and smaller "
        "batches.",
        "adapt": f"Chosen for {rows:,} rows: twice the teacher's passes, which for a small student take little time.",
    }
    lines = _HEAD.format(name=values["name"], out=out).splitlines()
    for name, value in values.items():
        lines += ["", *_written({name: value}, Recipe, "", why)]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, "\n".join(lines) + "\n")


def _values(
    task: Path, teacher: str, corpus: Sequence[str], size: tuple[int, int], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings that do not depend on what is in the data."""
    layers, hidden = size
    values: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", task.stem).strip("-._") or "mine",
        "task": {"source": str(task), "label": "label", **settings},
        "corpus": {"sources": list(corpus), "unit": "sentence"},
        "textbooks": _textbooks(pairs="text_pair" in settings),
        "teacher": {"model": teacher, "kind": "task", "finetune": {}},
        "student": {"layers": layers, "hidden": hidden, "init": "projected", "dropout": 0.0},
        "distil": {**_defaults(DistilConfig, ("tokens", "batch")), "learning_rate": suggested_distil_rate(hidden)},
        "adapt": {},
        "baselines": ["undistilled", "tf-idf"],  # the first shows what the start alone is worth
        "seeds": [0],
    }
    if values["task"]["label"] == NO_LABEL:
        values["teacher"] = {"model": teacher, "kind": "ready"}
    return values


def _refuse_unready(teacher: str) -> None:
    """Refuse a teacher of a task without labels that is not a classifier."""
    with explain_missing_extra("the labels of the teacher"):
        from hornbook.models.loading import ready_config

        try:
            ready_config(teacher)
        except Unreachable:
            return
        except HornbookError as error:
            raise HornbookError(f"{one_line(error)}; without labels (--label {NO_LABEL}) it must be one") from None


def _textbooks(*, pairs: bool) -> dict[str, Any]:
    """Return the textbook that taught best: of tasks of pairs only pairs teach much (docs/results/projected.md)."""
    if pairs:
        return {"anchored": _defaults(AnchoredConfig, ("kind", "k"))}
    return {"contextualized": _defaults(ContextualizedConfig, ("kind", "k", "share", "min_units"))}


def _defaults(model: type[BaseModel], names: Sequence[str]) -> dict[str, Any]:
    return {name: model.model_fields[name].default for name in names}


def _config_of(teacher: str) -> Any:
    """Return a teacher's configuration; None, and a warning, if it cannot be had now."""
    try:
        with explain_missing_extra("the size of the teacher"):
            from hornbook.models.source import load_config

            return load_config(teacher)
    except HornbookError as error:
        rate = "teacher.finetune: the rate is for a teacher of %dx%d, as its own size is unknown: %s"
        logger.warning(rate, *BASE_SIZE, one_line(error))
        return None


def _start(teacher: Any, student: StudentConfig) -> tuple[str, str]:
    """Return what a student begins as, and the reason if it is not a projection of its teacher."""
    if teacher is None:
        return student.init, ""
    from hornbook.models.student import student_config

    try:
        student_config(teacher, student)
    except HornbookError as error:
        logger.warning("student.init is random, as no projection of the teacher fits: %s", one_line(error))
        return "random", "It begins from random weights, as the teacher cannot be projected to this size."
    return student.init, ""


def _written(
    values: Mapping[str, Any], model: type[BaseModel] | None, indent: str, why: Mapping[str, str]
) -> list[str]:
    """Return `values` as YAML lines, with a comment above each group and beside each field if it fits.

    The comment of a group that `why` names ends with the reason for its values.
    """
    lines: list[str] = []
    for name, value in values.items():
        about = model.model_fields.get(name) if model else None
        comment = one_line(about.description or "") if about else ""
        if isinstance(value, Mapping):
            inner = _model_of(about.annotation, value) if about else config_class(value["kind"])
            comment = f"{comment} {why.get(name, '')}".strip()
            lines += [*_above(comment, indent), f"{indent}{name}:", *_written(value, inner, f"{indent}  ", why)]
            continue
        line = f"{indent}{name}: {_scalar(value)}"
        beside = f"{line:<{_COMMENTS_AT}}  # {comment}"
        lines += [beside] if len(beside) <= _WIDTH else [*_above(comment, indent), line]
    return lines


def _above(comment: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(comment, _WIDTH - len(indent) - 2)]


def _model_of(annotation: Any, value: Any) -> type[BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model and isinstance(value, Mapping) else None


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if "e" not in f"{value:g}" else f"{value:.8f}".rstrip("0")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}"
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        .removesuffix("\n...\n")
        .strip()
    )
