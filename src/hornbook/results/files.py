"""Results on disk: JSON files that are validated when they are read."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from hornbook.errors import HornbookError
from hornbook.machine.parsing import read_json
from hornbook.results.experiment import ExperimentResult
from hornbook.results.inspection import Inspection
from hornbook.results.names import EXPERIMENT, INSPECTION, REPORT
from hornbook.results.plain import as_json, from_json
from hornbook.results.run import RunResult
from hornbook.store import load, write_json

T = TypeVar("T")


def write_run(run: RunResult) -> Path:
    """Write `report.json` into the run's folder and return its path."""
    path = run.folder / REPORT
    write_json(path, as_json(run))
    return path


def write_experiment(result: ExperimentResult) -> Path:
    """Write `experiment.json` into the experiment's folder and return its path."""
    path = result.folder / EXPERIMENT
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, as_json(result))
    return path


def read_results(place: Path) -> RunResult | ExperimentResult:
    """Read the results of a run or an experiment.

    Args:
        place: a run's folder, an experiment's folder, or the file of an experiment's results.

    Returns:
        the results, with `folder` set to where they were read from.

    Raises:
        HornbookError: it is none of these, is not finished, or was written by an earlier version.
    """
    if place.name in ("", ".."):
        place = place.resolve()  # the folder's name is that of the run
    if place.is_file() and place.name == REPORT:
        place = place.parent
    if place.is_file():
        return _experiment(place, place.stem)
    if (place / EXPERIMENT).is_file():
        return _experiment(place / EXPERIMENT, place.name)
    if (place / REPORT).is_file():
        return _run(place)
    if place.is_dir() and any(path.is_symlink() for path in place.iterdir()):
        raise HornbookError(f"{place}: the run is not finished (no {REPORT}); run it again, it resumes")
    raise HornbookError(f"{place}: is neither a run (no {REPORT}) nor an experiment (no {EXPERIMENT})")


def read_inspection(folder: Path) -> Inspection:
    """Read what the stage `inspection` wrote.

    Args:
        folder: the folder of its artefact.

    Returns:
        curves, textbooks, anchors, mistakes and calibration of a run.

    Raises:
        HornbookError: the folder has no inspection, its files were changed, or another version wrote it.
    """
    path = load(folder, INSPECTION).file(f"{INSPECTION}.json")
    return _read(Inspection, path, _object(path))


def _run(folder: Path) -> RunResult:
    path = folder / REPORT
    run = _read(RunResult, path, _object(path))
    if not run.rows:
        raise HornbookError(f"{path}: contains no model; run it again")
    if not (folder / INSPECTION).exists():
        raise HornbookError(
            f"{folder / INSPECTION}: the run's artefacts are missing; run it again, or make the report where they are"
        )
    return replace(run, folder=folder, inspection=read_inspection(folder / INSPECTION))


def _experiment(path: Path, name: str) -> ExperimentResult:
    values = _object(path)
    if not isinstance(values, dict) or not isinstance(values.get("rows"), list):
        raise HornbookError(f"{path}: is not a file of an experiment's results")
    found = _read(ExperimentResult, path, {"name": name, **values})
    # A file of results may contain rows of an earlier recipe; the last row of a cell counts.
    rows = tuple({json.dumps(row.at, sort_keys=True): row for row in found.rows}.values())
    axes = found.axes or tuple(dict.fromkeys(axis for row in rows for axis in row.at))
    if any(row.at.keys() < set(axes) for row in rows):
        raise HornbookError(f"{path}: its rows have different axes; report the experiment's folder instead")
    if missing := {row.task for row in found.scored} - found.gold.keys():
        raise HornbookError(
            f"{path}: was written by an earlier version, without the gold labels of task {min(missing)!r}; "
            "run the experiment again"
        )
    return replace(found, rows=rows, axes=axes, folder=path.parent)


def _object(path: Path) -> Any:
    try:
        return read_json(path)
    except HornbookError:
        raise HornbookError(f"{path}: is not JSON; run it again") from None


def _read(of: type[T], path: Path, values: Any) -> T:
    try:
        return from_json(of, values)
    except ValidationError as error:
        raise HornbookError(
            f"{path}: {_earlier(error.errors()[0])}; run it again, finished stages are reused"
        ) from None


def _earlier(first: Mapping[str, Any]) -> str:
    """Return in words which part of a file is not as this version writes it."""
    place = ".".join(str(part) for part in first["loc"] if not _is_type_name(part))
    if first["type"] == "missing":
        return f"was written by an earlier version, without {place!r}"
    return f"was written by another version: {place!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _is_type_name(part: object) -> bool:
    """Tell whether a part of an error's place is the tag of a union."""
    return part in ("scores", "textbooks")
