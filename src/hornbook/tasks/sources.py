"""The sources of a task: files, a folder, GLUE by name, or a hub dataset."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from hornbook.errors import HornbookError, Unreachable, nearest, one_line
from hornbook.machine import hub
from hornbook.machine.tables import Rows, format_of, is_delimited, joined, read_rows, stem
from hornbook.recipe import TaskConfig
from hornbook.store import fingerprint
from hornbook.tasks.glue import GLUE, HUB_NAME, GlueTask
from hornbook.tasks.memory import SPLITS, dataset_rows
from hornbook.tasks.names import listed

logger = logging.getLogger("hornbook")

# The hub's names for the files of a split, with a checksum in older ones: train-00000-of-00002-0a1b2c3d4e5f6789
_PART = re.compile(r"(\w+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?")

# What the datasets library's save_to_disk writes beside its tables.
_SAVED_BESIDE = ("dataset_dict.json", "dataset_info.json", "state.json")


@dataclass(frozen=True)
class Source:
    """A task's source, located but not read yet.

    Attributes:
        name: the task's name.
        inputs: the content keys of its parts, by split.
        read: returns the rows of each split that exists: train, and perhaps dev, test, dev_mismatched.
        glue: its description, if it is a GLUE task.
    """

    name: str
    inputs: dict[str, str]
    read: Callable[[], dict[str, Rows]]
    glue: GlueTask | None = None


def locate(config: TaskConfig) -> Source:
    """Locate `config.source`.

    Args:
        config: the task's settings.

    Returns:
        the source, not yet read.

    Raises:
        HornbookError: no such file, folder, GLUE task or hub dataset, or a setting does not apply to it.
    """
    path = Path(config.source)
    is_glue = config.source.startswith("glue/") and not path.exists()
    if config.folder is not None and not is_glue:
        raise HornbookError(f"{config.source}: folder: is for the sources glue/NAME only")
    if config.subset is not None and (is_glue or path.is_file()):
        raise HornbookError(f"{config.source}: subset: is for hub datasets and folders only")
    if config.delimiter is not None and (is_glue or not path.exists()):
        _refuse_missing(path)
        raise HornbookError(f"{config.source}: delimiter: is for files only")
    if (config.dev or config.test) and not path.is_file():
        _refuse_missing(path)
        raise HornbookError(f"{config.source}: dev: and test: are for a source that is one file")
    if is_glue:
        return _glue(config)
    if path.is_dir():
        inside = path / (config.subset or "")
        if not inside.is_dir():
            raise HornbookError(f"{config.source}: subset: no folder {config.subset!r} in it")
        return _local(path.resolve().name, _files_in(inside), config.delimiter)
    if path.is_file():
        others = {"dev": config.dev, "test": config.test}
        files = {"train": [path]} | {split: [Path(name)] for split, name in others.items() if name}
        return _local(stem(path), files, config.delimiter)
    _refuse_missing(path)
    return _hub(config.source, config.source, config.subset, None)


def _refuse_missing(path: Path) -> None:
    """Refuse a path that does not exist: hub names have no suffix of a format and at most one slash."""
    if not path.exists() and (format_of(path) or path.is_absolute() or len(path.parts) > 2):
        raise HornbookError(f"{path}: no such file or folder")


def _local(
    name: str, files: Mapping[str, Sequence[Path]], delimiter: str | None, glue: GlueTask | None = None
) -> Source:
    if delimiter is not None and not any(is_delimited(path) for paths in files.values() for path in paths):
        raise HornbookError(f"{name}: delimiter: is for CSV, TSV and TXT files only")

    def read() -> dict[str, Rows]:
        return {split: joined([read_rows(path, delimiter) for path in paths]) for split, paths in files.items()}

    return Source(name, {split: fingerprint(paths) for split, paths in files.items()}, read, glue)


def _files_in(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each split in a folder or in its folder `data`; the parts of a split are in order.

    Raises:
        HornbookError: no train file, two files for one split, or a part is missing.
    """
    places = [(place, _splits_in(place)) for place in (folder, folder / "data") if place.is_dir()]
    found = [(place, splits) for place, splits in places if splits]
    if len(found) > 1:
        first, second = (f"{place}/{next(iter(splits.values()))[0].name}" for place, splits in found)
        raise HornbookError(f"{folder}: holds splits in two places: {first} and {second}; name one of the folders")
    splits = found[0][1] if found else {}
    if "train" not in splits:
        raise HornbookError(
            f"{folder}: no train file (train.csv, .tsv, .jsonl, .parquet or .arrow) in it{_elsewhere(folder)}"
        )
    used = {path for paths in splits.values() for path in paths}
    if others := [path.name for path in _tables_in(found[0][0]) if path not in used]:
        known = ", ".join(chain.from_iterable(SPLITS.values()))
        logger.warning("%s: not read: %s; the files of splits are named %s", folder, listed(others), known)
    return splits


def _tables_in(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.iterdir()) if path.name not in _SAVED_BESIDE)
    return [path for path in files if path.is_file() and format_of(path)]


def _splits_in(folder: Path) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = {}
    for split, stems in SPLITS.items():
        # Grouped by the common part of their names: train.csv is alone, train-00000-of-00002.parquet is not.
        sets: dict[tuple[str, ...], list[Path]] = {}
        for path in _tables_in(folder):
            part = _PART.fullmatch(stem(path))
            if (part[1] if part else stem(path)).lower() in stems:
                kind = path.name.removeprefix(stem(path))
                sets.setdefault((part[1], part[3], kind) if part else (path.name,), []).append(path)
        if not sets:  # train/0000.parquet, as the hub converts data sets
            insides = (folder / name for name in reversed(stems) if (folder / name).is_dir())
            sets = {(inside.name,): tables for inside in insides if (tables := _tables_in(inside))}
        if len(sets) > 1:
            one, other = (paths[0].name for paths in list(sets.values())[:2])
            raise HornbookError(f"{folder}: two files for {split}: {one} and {other}")
        for common, paths in sets.items():
            _refuse_gaps(folder, paths, int(common[1]) if len(common) > 1 else 1)
            splits[split] = paths
    return splits


def _refuse_gaps(folder: Path, paths: Sequence[Path], parts: int) -> None:
    numbers = [int(part[2]) for path in paths if (part := _PART.fullmatch(stem(path)))]
    missing = sorted(set(range(parts)).difference(numbers)) if numbers else []
    if missing:
        raise HornbookError(
            f"{folder}: {len(missing)} of the {parts} parts of {paths[0].name} are missing (the first is number"
            f" {missing[0]:05d}); download the data set again"
        )
    if len(set(numbers)) < len(numbers):
        raise HornbookError(f"{folder}: two files for one part: {paths[0].name} and {paths[1].name}")


def _elsewhere(folder: Path) -> str:
    """Return a hint where the splits may be instead."""
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return "; it is written by save_to_disk: write each split with to_parquet as train.parquet, test.parquet"
    subsets = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and "train" in _splits_in(path)]
    if subsets:
        return f"; the folders {listed(subsets)} have one: name one of them with subset:"
    tables = [path.name for path in _tables_in(folder)]
    return f"; name the file itself: {listed(tables)}" if tables else ""


def _glue(config: TaskConfig) -> Source:
    name = config.source.removeprefix("glue/")
    if name not in GLUE:
        near = nearest(name, GLUE, cutoff=0.6)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise HornbookError(f"{config.source}: no GLUE task {name!r}{hint}; the tasks are {', '.join(GLUE)}")
    glue = GLUE[name]
    if config.folder is None:
        return _hub(config.source, HUB_NAME, name, glue)
    folder = Path(config.folder) / name
    files = {ours: [folder / f"{theirs}.parquet"] for ours, theirs in glue.splits.items()}
    return _local(config.source, files, None, glue)


def _hub(name: str, repository: str, subset: str | None, glue: GlueTask | None) -> Source:
    import datasets

    with hub.asking("datasets", repository, name), _hub_errors(name):
        builder = datasets.load_dataset_builder(repository, subset)
    read = partial(_read_hub, name, repository, subset, glue)
    return Source(name, {"hub": f"{repository} {subset or ''} {builder.hash}"}, read, glue)


def _read_hub(name: str, repository: str, subset: str | None, glue: GlueTask | None) -> dict[str, Rows]:
    import datasets

    with _hub_errors(name):
        loaded = datasets.load_dataset(repository, subset)
    if glue is not None:
        stored = glue.splits
    else:
        stored = {ours: s for ours, names in SPLITS.items() for s in names if s in loaded}
    if "train" not in stored or stored["train"] not in loaded:
        raise HornbookError(f"{name}: the hub dataset has no train split; its splits are {', '.join(loaded)}")
    return {ours: dataset_rows(f"{name} ({theirs})", loaded[theirs]) for ours, theirs in stored.items()}


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turn whatever the datasets library or the network raises into one line."""
    try:
        yield
    except Exception as error:
        from huggingface_hub import is_offline_mode

        said = one_line(error)
        advice = "name a file or folder" + (f", or {hub.remedy()}" if is_offline_mode() else "")
        kind = Unreachable if hub.is_out_of_reach(error) else HornbookError
        # The library's own message names a setting that the user may not have set.
        what = f"the hub dataset could not be read ({said})"
        if is_offline_mode() and "OfflineModeIsEnabled" in said:
            what = "no such dataset in the hub's cache on this machine"
        raise kind(f"{name}: not a file or folder here, and {what}; {advice}") from error
