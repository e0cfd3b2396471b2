"""The tables of a model card: scores, speed and size, sources, the int8 gate, thresholds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hornbook.export.lineage import Lineage
from hornbook.metrics import ERRORS
from hornbook.results import ModelSummary, RunResult
from hornbook.results.markdown import escaped, markdown_lines
from hornbook.results.words import amount, percent, score
from hornbook.store import Artifact
from hornbook.tasks.task import BY_TEACHER

NOT_KNOWN = "not known"
_MOST_SOURCES = 20


def scores_table(found: Lineage, summary: ModelSummary | None) -> str:
    """Return the scores of student and teacher as Markdown, with interval and spread where these are known.

    Args:
        found: what the student was made from.
        summary: all seeds of the student; None outside a run.

    Returns:
        the table; empty if the student was not scored.
    """
    if found.evaluation is None:
        return ""
    info = found.evaluation.info
    seeds = summary is not None and len(summary.seeds) > 1
    taught = found.teacher_evaluation.info["scores"] if found.teacher_evaluation else {}
    rows = []
    for split, scores in info["scores"].items():
        for name, value in scores.items():
            row = [split, name.replace("_", " "), f"{_score(name, value)}{_interval(info, split, name)}"]
            if seeds:
                spread = getattr(summary, split, None) if name == info["metric"] else None
                row.append("" if spread is None else score(spread))
            if taught:
                row.append(_score(name, taught[split][name]) if name in taught.get(split, {}) else "")
            rows.append(row)
    headings = ["split", "metric", "student", *(["all seeds"] if seeds else []), *(["teacher"] if taught else [])]
    text = f"{markdown_lines(headings, rows, range(2, len(headings)))}\n\nScores in percent"
    if seeds and summary is not None:
        text += f"; all seeds: mean ± standard deviation of {len(summary.seeds)} students"
    if info.get(BY_TEACHER):
        text += ", KL in nats; they say how the student follows its teacher, as no gold labels were given"
    return f"{text}. They are of the weights in PyTorch."


def _score(name: str, value: float) -> str:
    return amount(value) if name in ERRORS else percent(value)


def _interval(info: Mapping[str, Any], split: str, name: str) -> str:
    chance = info.get("chance", {})
    if split != "dev" or chance.get("metric") != name or name != info["metric"]:
        return ""
    return f" (95% interval {percent(chance['low'])} to {percent(chance['high'])})"


def speed_table(export: Artifact, found: Lineage) -> str:
    """Return size and speed of student and teacher as Markdown."""
    rows = []
    if found.evaluation is not None:
        measured = found.evaluation.measured
        speeds = measured["sentences_per_second"]
        own, teacher = found.evaluation.counts, found.teacher_evaluation
        if teacher is not None:
            rows.append(["teacher, PyTorch", *_sizes(teacher.counts), _speed(speeds.get("teacher"))])
        rows.append(["student, PyTorch", *_sizes(own), _speed(speeds["model"])])
    rows.append(["ONNX float32", "", _megabytes(export.counts["graph_bytes"]), ""])
    if "int8_bytes" in export.counts:
        variant = export.info["int8"]["published"]
        speed = (export.measured.get("int8") or {}).get(variant)
        rows.append([f"ONNX int8 ({variant})", "", _megabytes(export.counts["int8_bytes"]), _speed(speed)])
    text = markdown_lines(["format", "parameters", "MB", "sentences/s"], rows, range(1, 4))
    if found.evaluation is not None:
        device = found.evaluation.measured.get("device", "cpu")
        batch = found.evaluation.manifest["config"]["batch"]
        text += f"\n\nSpeed in PyTorch: of the task's dev texts, in batches of {batch}, on {device}."
    return text


def _sizes(counts: Mapping[str, int]) -> tuple[str, str]:
    return f"{counts['parameters'] / 1e6:.2f} M", _megabytes(counts["weight_bytes"])


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f}"


def _speed(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def sources_table(found: Lineage, run: RunResult | None) -> str:
    """Return what the student learned from, with licences where they are known, as Markdown."""
    rows = []
    if run is not None:
        name = run.recipe["teacher"]["model"]
        file = run.recipe["teacher"].get("file")
        role = "teacher" if file is None else "encoder"
        rows.append([role, escaped(shown(name)), "", licence(name, "model")])
        if file is not None:
            rows.append(["labels", escaped(Path(file).name), "", NOT_KNOWN])
    if found.task is not None:
        place = run.recipe["task"]["source"] if run is not None else ""
        by_teacher = ", labelled by the teacher" if found.task.info.get(BY_TEACHER) else ""
        count = f"{found.task.counts['train_rows']:,} {'' if by_teacher else 'labelled '}texts{by_teacher}"
        rows.append(["task", escaped(found.task.info["name"]), count, licence(place, "dataset")])
    hub = dict(_hub_sources(run.recipe["corpus"]["sources"])) if run is not None else {}
    for corpus in found.corpora:
        counts = sorted(corpus.info["sources"].items(), key=lambda one: -one[1])
        for name, units in counts[:_MOST_SOURCES]:
            known = licence(hub.get(name, ""), "dataset")
            rows.append(["corpus", escaped(name), f"{units:,} units", known])
        if len(counts) > _MOST_SOURCES:
            rows.append(["corpus", f"{len(counts) - _MOST_SOURCES:,} more", "", NOT_KNOWN])
    for book in found.textbooks:
        size = f"{book.counts['units']:,} units"
        rows.append(["textbook", escaped(book.info["kind"]), size, "that of its sources"])
    return markdown_lines(["role", "name", "size", "licence"], rows, ()) if rows else ""


def _hub_sources(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name that a corpus gives each source of the hub, and its name on the hub."""
    for source in sources:
        name, _, place = source.rpartition("=")
        if place.startswith("hub:"):
            dataset = place.removeprefix("hub:").partition(":")[0]
            yield name or dataset.rpartition("/")[2], dataset


def licence(place: str, repo_type: str) -> str:
    """Return the licence that a model or data set states in its card, if the card is on this machine.

    Args:
        place: a folder, or a name on the hub, whose cache is searched.
        repo_type: "model" or "dataset".

    Returns:
        the licence, or "not known".
    """
    from huggingface_hub import RepoCard, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    path = Path(place) / "README.md" if place else Path()
    try:
        found = path if path.is_file() else try_to_load_from_cache(place, "README.md", repo_type=repo_type)
        if not isinstance(found, str | Path):
            return NOT_KNOWN
        stated = RepoCard.load(found, ignore_metadata_errors=True).data.get("license")
    except (HFValidationError, OSError, ValueError):
        return NOT_KNOWN
    except Exception as error:  # of PyYAML, about a card that is not ours
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        return NOT_KNOWN
    names = stated if isinstance(stated, list) else [stated]
    return escaped(", ".join(str(name) for name in names)) if stated else NOT_KNOWN


def gate_table(export: Artifact) -> str:
    """Return what was tried to make an int8 graph, as Markdown; empty if nothing was."""
    about = export.info.get("int8")
    if about is None:
        return ""
    rows = []
    for row in about["tried"]:
        compared = row["compared"]
        agreement = [f"{one['agreement']:.2%} on {name}" for name, one in compared.items()]
        gains = [_gain(one["gain"]) for one in compared.values() if one["gain"] is not None]
        state = "published" if row["variant"] == about["published"] else "; ".join(row["faults"])
        rows.append([row["variant"], _megabytes(row["bytes"]), ", ".join(agreement), ", ".join(gains), state])
    where = about["processor"]
    text = f"Checked on {escaped(where['name'])} ({escaped(where['instructions'])})."
    if about["published"] is None:
        text = f"int8 is not published: {escaped(about['why_not'])}. {text}"
    if not rows:
        return text
    headings = ["variant", "MB", "agreement with the student", "score, points (95% interval)", "result"]
    return f"{markdown_lines(headings, rows, [1])}\n\n{text}"


def _gain(gain: Mapping[str, float]) -> str:
    return f"{gain['mean']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f})"


def calibration_table(export: Artifact) -> str:
    """Return temperature and thresholds as Markdown; empty if they were not fitted."""
    about = export.info.get("calibration")
    if about is None:
        return ""
    before, after = percent(about["error_before"]), percent(about["error_after"])
    text = (
        f"Logits divided by {about['temperature']:.3f} give probabilities with an expected calibration error of "
        f"{after} points instead of {before}, on the {about['examples']:,} dev examples it was fitted on. hornbook "
        "divides (`calibration.json`); other programs give raw logits."
    )
    if not about.get("thresholds"):
        return text
    rows = []
    for row in about["thresholds"]:
        right = "" if row["accuracy"] is None else percent(row["accuracy"])
        rows.append([f"{row['threshold']:g}", percent(row["answered"]), right])
    headings = ["answer only above", "answered, %", "accuracy of these, %"]
    return f"{text}\n\n{markdown_lines(headings, rows, range(3))}"


def shown(value: Any) -> Any:
    """Return settings without the folders of this machine: of a path from the root only the last part is left."""
    if isinstance(value, Mapping):
        return {name: shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [shown(one) for one in value]
    if not isinstance(value, str):
        return value
    name, named, path = value.rpartition("=")
    own = Path(path).is_absolute() or path.startswith(("~", ".."))
    return f"{name}{named}{Path(path).name}" if own and Path(path).name.strip(".") else value
