from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hornbook.corpus.store import SCHEMA, STAGE, shard_name, term_names
from hornbook.index.build import invert
from hornbook.index.files import write
from hornbook.recipe import TaskConfig
from hornbook.store import Artifact, StageContext, make
from hornbook.tasks import prepare
from hornbook.terms import Analysis


@pytest.fixture
def make_corpus(tmp_path) -> Callable[..., Artifact]:
    """Make a corpus artefact of these texts as they are: equal texts stay, every second unit id is missing."""

    def corpus(texts: Sequence[str], sources: Sequence[str] | None = None, shard_units: int = 50) -> Artifact:
        names = list(sources or ["books"] * len(texts))
        table = pa.table([pa.array(range(1, 2 * len(texts), 2)), list(texts), names], schema=SCHEMA)

        def fill(context: StageContext) -> None:
            for number, start in enumerate(range(0, len(texts), shard_units)):
                part = table.slice(start, shard_units)
                pq.write_table(part, context.path / shard_name(number), row_group_size=16)
                write(invert(part.to_batches(), Analysis()), *(context.path / name for name in term_names(number)))
            context.counts.update(units=len(texts))
            context.info.update(sources={name: names.count(name) for name in dict.fromkeys(names)})

        inputs = {str(i): f"{name} {text}" for i, (name, text) in enumerate(zip(names, texts, strict=True))}
        # A corpus is the same whatever its shards, but here two may stand side by side.
        out = tmp_path / f"corpus-{len(list(tmp_path.iterdir()))}"
        return make(out, stage=STAGE, version=1, config={}, inputs=inputs, build=fill)

    return corpus


@pytest.fixture
def make_task(tmp_path) -> Callable[..., Artifact]:
    """Make a task artefact whose train split holds these texts, a good one and a bad one in turn."""

    def task(texts: Sequence[str]) -> Artifact:
        folder = tmp_path / f"task-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        labels = ["good" if i % 2 else "bad" for i in range(len(texts))]
        pq.write_table(pa.table({"text": list(texts), "label": labels}), folder / "train.parquet")
        pq.write_table(pa.table({"text": ["yes", "no"], "label": ["good", "bad"]}), folder / "dev.parquet")
        config = TaskConfig(source=str(folder / "train.parquet"), dev=str(folder / "dev.parquet"))
        return prepare(config, folder / "prepared")

    return task


@pytest.fixture
def make_labelled(tmp_path) -> Callable[..., Artifact]:
    """Make a task artefact whose train split holds these columns, text and label among them, and settings."""

    def task(columns: dict[str, list[Any]], dev: dict[str, list[Any]] | None = None, **settings: Any) -> Artifact:
        folder = tmp_path / f"task-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, table in (("train", columns), ("dev", dev or columns)):
            pq.write_table(pa.table(table), folder / f"{name}.parquet")
        files = {"source": str(folder / "train.parquet"), "dev": str(folder / "dev.parquet")}
        return prepare(TaskConfig(**files, **settings), folder / "prepared")

    return task
