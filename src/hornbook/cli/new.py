"""Writes a commented recipe for one's own data; the comments are the fields' own docstrings."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from hornbook.errors import HornbookError
from hornbook.recipe import AdaptConfig, ContextualizedConfig, DistilConfig, FinetuneConfig, Recipe, validate

_WIDTH = 100


def write_recipe(
    out: Path,
    *,
    task: Path,
    teacher: str,
    corpus: Sequence[str],
    student: str,
    columns: Mapping[str, str | None],
) -> None:
    """Write a recipe with the settings that matter first, each explained by its comment.

    Args:
        out: the file; it may not be there yet.
        task: the labelled file.
        teacher: a model folder or hub name.
        corpus: sources of general text.
        student: the size, "6x384".
        columns: the task's columns: `text`, `text_pair`, `label`.

    Raises:
        HornbookError: the size is not understood, the task is missing, or `out` is there already.
    """
    size = re.fullmatch(r"(\d+)x(\d+)", student)
    if size is None:
        raise HornbookError(f"--student {student}: a size is LAYERSxHIDDEN, such as 6x384")
    if not task.exists():
        raise HornbookError(f"{task}: no such file")
    if out.exists():
        raise HornbookError(f"{out}: is there already; choose another name with --out")
    values: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", task.stem).strip("-.") or "mine",
        "task": {"source": str(task), **{k: v for k, v in columns.items() if v is not None}},
        "corpus": {"sources": list(corpus), "unit": "sentence"},
        "textbooks": {"contextualized": _defaults(ContextualizedConfig, ("kind", "k", "share", "min_units"))},
        "teacher": {
            "model": teacher,
            "kind": "task",
            "finetune": _defaults(FinetuneConfig, ("epochs", "learning_rate", "batch", "max_length")),
        },
        "student": {"layers": int(size[1]), "hidden": int(size[2])},
        "distil": _defaults(DistilConfig, ("tokens", "batch", "learning_rate", "max_length")),
        "adapt": _defaults(AdaptConfig, ("epochs", "learning_rate", "batch", "max_length")),
        "undistilled": True,
        "seeds": [0],
    }
    validate(Recipe, values, "hornbook new")
    lines = [f"# Run with: hornbook run {out}   (first: hornbook run {out} --dry-run)"]
    _write(values, Recipe, 0, lines)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n", "utf-8")


def _defaults(model: type[BaseModel], names: Sequence[str]) -> dict[str, Any]:
    return {name: model.model_fields[name].default for name in names}


def _write(values: Mapping[str, Any], model: type[BaseModel] | None, depth: int, lines: list[str]) -> None:
    """Append `values` as YAML, each field after its docstring as a comment."""
    indent = "  " * depth
    for name, value in values.items():
        about = model.model_fields.get(name) if model else None
        if about is not None and about.description:
            lines += _comment(about.description, indent)
        inner = _model_of(about.annotation, value) if about else ContextualizedConfig
        if isinstance(value, Mapping):
            lines.append(f"{indent}{name}:")
            _write(value, inner, depth + 1, lines)
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}")


def _comment(text: str, indent: str) -> list[str]:
    import textwrap

    return [f"{indent}# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH - len(indent))]


def _model_of(annotation: Any, value: Any) -> type[BaseModel] | None:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model and isinstance(value, Mapping) else None


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}" if "e" not in f"{value:g}" else f"{value:.8f}".rstrip("0")
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        .removesuffix("\n...\n")
        .strip()
    )
