"""The model card of an export: `README.md` with metadata for the hub, from manifests alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hornbook.export.card_tables import (
    calibration_table,
    gate_table,
    scores_table,
    shown,
    sources_table,
    speed_table,
)
from hornbook.export.files import CONFIG
from hornbook.export.lineage import Lineage, lineage, run_of
from hornbook.machine.parsing import read_json
from hornbook.models.source import Model, model_path
from hornbook.recipe import BenchmarkConfig
from hornbook.results import ModelSummary, RunResult
from hornbook.results.markdown import escaped
from hornbook.results.speeds import speed_markdown
from hornbook.store import Artifact, write_text
from hornbook.tasks.kinds import TaskKind, kind_of_problem

CARD = "README.md"
PLACE = '"my-export"'
"""How the card's examples name the export; the hub's copy names the repository."""
_MOST_LABELS = 30
# The names of the hub, where they differ from ours.
_METRICS = {
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "macro_f1": "f1",
    "micro_f1": "f1",
}


def write_card(export: Artifact, student: Model, run: RunResult | None = None) -> None:
    """Write the model card of an export. It has no text of the data, and no folder names of this machine.

    The card is no part of the export's content: it is written again when more is known of the student.

    Args:
        export: the finished export.
        student: what was exported.
        run: the results of its run. Default: those of the folder that it stands in, if it is a run's.
    """
    write_text(export.path / CARD, model_card(export, student, run or run_of(student)))


def model_card(export: Artifact, student: Model, run: RunResult | None = None) -> str:
    """Return the model card of an export; see `write_card`."""
    from huggingface_hub import ModelCard

    found = lineage(student)
    summary = None if run is None else _summary(run, found)
    config = read_json(export.file(CONFIG))
    kind = kind_of_problem(config["problem_type"], len(config["id2label"]))
    parts = [
        f"# {escaped(_title(found))}",
        _about(export, found, run, kind),
        *_section("Scores", scores_table(found, summary)),
        *_section("Speed and size", speed_table(export, found)),
        *_section("Speed by format", _speeds(export, run)),
        *_section("int8", gate_table(export)),
        *_section("Confidence", calibration_table(export)),
        *_section("Use it", _loaders(kind)),
        *_section("What it was made from", sources_table(found, run)),
        *_section("Limits", _limits(export)),
        *_section("Make it again", _commands(export, student, found, run, summary)),
    ]
    text = "\n\n".join(parts)
    return str(ModelCard(f"---\n{_metadata(found, run).to_yaml()}\n---\n\n{text}\n"))


def _section(title: str, text: str) -> Sequence[str]:
    return (f"## {title}", text) if text else ()


def _speeds(export: Artifact, run: RunResult | None) -> str:
    """Return how fast teacher and student are in each format, if their run measured it."""
    if run is None or run.export is None or run.export.key != export.key or not run.export.speeds:
        return ""
    return speed_markdown(run.export.speeds, BenchmarkConfig().threads)


def _summary(run: RunResult, found: Lineage) -> ModelSummary | None:
    """Return the seeds of a student of a run together."""
    key = None if found.model is None else found.model.key
    name = next((one.name for one in run.models if one.model == key), None)
    return next((one for one in run.summary if one.name == name), None)


def _metadata(found: Lineage, run: RunResult | None) -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    settings = {} if run is None else run.recipe
    results = []
    if found.evaluation is not None:
        task = found.evaluation.info["task"]
        for split, scores in found.evaluation.info["scores"].items():
            results += [
                EvalResult(
                    task_type="text-classification",
                    dataset_type=task,
                    dataset_name=task,
                    dataset_split=split,
                    metric_type=_METRICS.get(name, name),
                    metric_name=name,
                    metric_value=round(value, 6),
                )
                for name, value in scores.items()
            ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["onnx", "transformers.js", "distillation", "hornbook"],
        base_model=_hub_name(settings.get("teacher", {}).get("model", "")),
        model_name=_title(found) if results else None,
        eval_results=results or None,
    )


def _hub_name(model: str) -> str | None:
    """Return the name of a model on the hub; None for a folder."""
    local = Path(model).exists() or model.startswith((".", "/", "~"))
    return None if not model or local or model.count("/") > 1 else model


def _title(found: Lineage) -> str:
    return f"{found.task.info['name']} classifier" if found.task is not None else "Text classifier"


def _about(export: Artifact, found: Lineage, run: RunResult | None, kind: TaskKind) -> str:
    text = "A text classifier for transformers, onnxruntime and transformers.js"
    if found.distilled:
        teacher = "a larger teacher" if run is None else escaped(_teacher(run.recipe["teacher"]))
        tokens = sum(one.counts.get("tokens", 0) for one in found.distilled)
        books = ", then ".join(escaped(one.info["kind"]) for one in reversed(found.textbooks))
        text += f", distilled with hornbook from {teacher}"
        text += f" on {tokens:,} tokens of a textbook ({books})" if tokens and books else ""
    labels = [escaped(str(label)) for label in export.info["labels"]]
    named = ", ".join(labels[:_MOST_LABELS]) + (", …" if len(labels) > _MOST_LABELS else "")
    gives = {
        "classification": f"Each text gets one of {len(labels)} labels: {named}.",
        "multilabel": f"Each text gets any of {len(labels)} labels: {named}.",
    }
    return f"{text}. {gives.get(kind.name, 'Each text gets a score.')}"


def _teacher(settings: Mapping[str, Any]) -> str:
    """Return what a student learned from: a model, or the labels of a file."""
    file = settings.get("file")
    return str(shown(settings["model"])) if file is None else f"labels in {Path(file).name}"


def _limits(export: Artifact) -> str:
    return "\n".join(
        (
            f"* A text is cut at {export.info['max_length']} tokens; what follows is not read.",
            "* Languages: those of its teacher and of the texts above; hornbook does not check them.",
            "* It was trained for one task, and answers any text, also of other kinds.",
            "* What the teacher was trained on before is not known to hornbook; texts of the dev or test split may "
            "be part of it.",
            "* Licences are those that the sources state; what follows for this model is for its publisher to say.",
            f"* Its ONNX logits are within {export.measured['largest_difference']:.1e} of PyTorch's on "
            f"{export.counts['compared_texts']:,} texts.",
        )
    )


def _loaders(kind: TaskKind) -> str:
    meaning = {
        "classification": "np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)  # of each label",
        "multilabel": "1 / (1 + np.exp(-logits))  # of each label",
    }
    return f"""With transformers (`truncation=True` is needed: no saved setting makes its pipeline truncate):

```python
from transformers import pipeline

classify = pipeline("text-classification", {PLACE}, truncation=True)
```

With onnxruntime and tokenizers, in a local copy of this folder:

```python
import json
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
config = json.load(open("config.json", encoding="utf-8"))
tokenizer.enable_padding(pad_id=config["pad_token_id"])
session = onnxruntime.InferenceSession("onnx/model.onnx")
read = tokenizer.encode_batch(["a text", "another text"])
values = {{"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}}
names = [one.name for one in session.get_inputs()]
inputs = {{name: np.array([getattr(one, values[name]) for one in read]) for name in names}}
(logits,) = session.run(["logits"], inputs)
found = {meaning.get(kind.name, "logits  # the scores")}
```

With hornbook, in a local copy (also files: `hornbook predict my-export texts.csv --out answers.csv`):

```python
import hornbook

found = hornbook.load_classifier(".")(["a text", "another text"])
```"""


def _commands(
    export: Artifact, student: Model, found: Lineage, run: RunResult | None, summary: ModelSummary | None
) -> str:
    given, place = export.manifest["inputs"], str(shown(model_path(student)))
    task, textbook, before = "TASK", "TEXTBOOK", []
    if run is not None:
        of_run = f"runs/{run.recipe['name']}"
        before = ["hornbook run recipe.yaml"]
        task = f"{of_run}/task"
        if summary is not None and found.model is not None:
            seed = next(one.seed for one in run.models if one.model == found.model.key)
            place = f"{of_run}/student-{summary.name}-seed{seed}"
            if (run.folder / f"textbook-{summary.name}").exists():  # a chain has several
                textbook = f"{of_run}/textbook-{summary.name}"
    options = [f"--{role} {value}" for role, value in (("task", task), ("textbook", textbook)) if role in given]
    command = " ".join(["hornbook export", place, *options, "--out my-export"])
    versions = ", ".join(f"{name} {one}" for name, one in export.manifest["versions"].items() if one)
    text = f"```\n{chr(10).join([*before, command])}\n```\n\nMade with {versions}."
    if run is None:
        return text
    recipe = yaml.safe_dump(shown(run.recipe), sort_keys=False, allow_unicode=True)
    return f"{text}\n\n<details><summary>recipe.yaml</summary>\n\n~~~~yaml\n{recipe}~~~~\n\n</details>"
