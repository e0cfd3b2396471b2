"""Where a task's rows come from: files, a folder, GLUE by name, or a dataset of the hub."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hornbook import hub
from hornbook.artifact import fingerprint
from hornbook.errors import HornbookError, Unreachable
from hornbook.recipe import TaskConfig
from hornbook.tasks.glue import GLUE, HUB_NAME, GlueTask
from hornbook.tasks.rows import Rows, is_readable, read_rows, stem

_SPLIT_FILES = {"train": ("train",), "dev": ("dev", "validation", "valid"), "test": ("test",)}


@dataclass(frozen=True)
class Source:
    """A task's source, found but not read yet.

    Attributes:
        name: the task's name.
        inputs: the keys of what it consists of.
        read: reads the rows of each split that is given: train, and dev, test, dev_mismatched if they exist.
        glue: what is known of it, if it is a GLUE task.
    """

    name: str
    inputs: dict[str, str]
    read: Callable[[], dict[str, Rows]]
    glue: GlueTask | None = None


def locate(config: TaskConfig) -> Source:
    """Find what `config.source` names.

    Raises:
        HornbookError: there is no such file, folder, GLUE task or hub dataset, or settings that do not apply.
    """
    path = Path(config.source)
    is_glue = config.source.startswith("glue/") and not path.exists()
    if config.folder is not None and not is_glue:
        raise HornbookError(f"{config.source}: folder: is for the sources glue/NAME only")
    if config.subset is not None and (is_glue or path.exists()):
        raise HornbookError(f"{config.source}: subset: is for hub datasets only")
    if (config.dev or config.test) and not path.is_file():
        _refuse_missing(path)
        raise HornbookError(f"{config.source}: dev: and test: are for a source that is one file")
    if is_glue:
        return _glue(config)
    if path.is_dir():
        return _local(path.resolve().name, _files_in(path))
    if path.is_file():
        others = {"dev": config.dev, "test": config.test}
        files = {"train": path} | {split: Path(name) for split, name in others.items() if name}
        return _local(stem(path), files)
    _refuse_missing(path)
    return _hub(config.source, config.source, config.subset, None, _label(config))


def _refuse_missing(path: Path) -> None:
    """Refuse what was meant as a path: hub names have no format's ending and at most one slash."""
    if not path.exists() and (is_readable(path) or path.is_absolute() or len(path.parts) > 2):
        raise HornbookError(f"{path}: no such file or folder")


def _local(name: str, files: Mapping[str, Path], glue: GlueTask | None = None) -> Source:
    def read() -> dict[str, Rows]:
        return {split: read_rows(path) for split, path in files.items()}

    return Source(name, {split: fingerprint([path]) for split, path in files.items()}, read, glue)


def _files_in(folder: Path) -> dict[str, Path]:
    """Return the file of each split in a folder.

    Raises:
        HornbookError: no train file, or two files for one split.
    """
    found: dict[str, Path] = {}
    for split, stems in _SPLIT_FILES.items():
        files = [p for p in sorted(folder.iterdir()) if p.is_file() and is_readable(p) and stem(p) in stems]
        if len(files) > 1:
            raise HornbookError(f"{folder}: two files for {split}: {files[0].name} and {files[1].name}")
        if files:
            found[split] = files[0]
    if "train" not in found:
        raise HornbookError(f"{folder}: no train file (train.csv, .tsv, .jsonl or .parquet) in it")
    return found


def _glue(config: TaskConfig) -> Source:
    name = config.source.removeprefix("glue/")
    if name not in GLUE:
        near = difflib.get_close_matches(name, GLUE, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise HornbookError(f"{config.source}: no GLUE task {name!r}{hint}; the tasks are {', '.join(GLUE)}")
    glue = GLUE[name]
    if config.folder is None:
        return _hub(config.source, HUB_NAME, name, glue, _label(config))
    folder = Path(config.folder) / name
    return _local(config.source, {ours: folder / f"{theirs}.parquet" for ours, theirs in glue.splits.items()}, glue)


def _hub(name: str, repository: str, subset: str | None, glue: GlueTask | None, label: str) -> Source:
    import datasets

    with hub.asking("datasets", repository, name), _hub_errors(name):
        builder = datasets.load_dataset_builder(repository, subset)
    read = partial(_read_hub, name, repository, subset, glue, label)
    return Source(name, {"hub": f"{repository} {subset or ''} {builder.hash}"}, read, glue)


def _read_hub(name: str, repository: str, subset: str | None, glue: GlueTask | None, label: str) -> dict[str, Rows]:
    """Read the splits of a hub dataset; a test split whose labels are withheld (-1, or none) is left out."""
    import datasets

    with _hub_errors(name):
        loaded = datasets.load_dataset(repository, subset)
    if glue is not None:
        stored = glue.splits
    else:
        stored = {ours: s for ours, names in _SPLIT_FILES.items() for s in names if s in loaded}
    if "train" not in stored or stored["train"] not in loaded:
        raise HornbookError(f"{name}: the hub dataset has no train split; its splits are {', '.join(loaded)}")
    splits = {ours: _from_dataset(f"{name} ({theirs})", loaded[theirs]) for ours, theirs in stored.items()}
    if "test" in splits and all(value in (-1, None) for value in splits["test"].columns.get(label, ())):
        del splits["test"]
    return splits


def _label(config: TaskConfig) -> str:
    return config.label if isinstance(config.label, str) else config.label[0]


def _from_dataset(where: str, dataset: Any) -> Rows:
    inner = {name: getattr(f, "feature", f) for name, f in dataset.features.items()}  # a list's elements
    names = {name: tuple(f.names) for name, f in inner.items() if hasattr(f, "names")}
    return Rows(where, {name: list(dataset[name]) for name in dataset.column_names}, names)


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turn whatever the datasets library and the network raise into one line."""
    try:
        yield
    except Exception as error:
        from huggingface_hub import is_offline_mode

        said = " ".join(str(error).split())
        advice = "name a file or folder" + (f", or {hub.remedy()}" if is_offline_mode() else "")
        kind = Unreachable if hub.is_out_of_reach(error) else HornbookError
        raise kind(
            f"{name}: not a file or folder here, and the hub dataset could not be read ({said}); {advice}"
        ) from error
