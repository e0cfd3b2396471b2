"""Settings of the task and of the general corpus."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hornbook.recipe.settings import Count, PathText, Seed, Settings, all_text


class TaskConfig(Settings):
    """What to learn: labelled text."""

    source: PathText
    """A CSV, TSV, JSONL or Parquet file, a folder with train/dev/test files, `glue/NAME`, or a hub dataset."""
    folder: PathText | None = None
    """For `glue/NAME`: a folder that holds NAME/train.parquet and NAME/validation*.parquet; else the hub."""
    subset: str | None = None
    """For a hub dataset: the name of its configuration."""
    dev: PathText | None = None
    """A file with the dev split, where `source` is one file."""
    test: PathText | None = None
    """A file with the test split, where `source` is one file."""
    text: str | None = None
    """The column with the text; by default `text` or `sentence`."""
    text_pair: str | None = None
    """The column with the second text of a pair, if the task is about pairs."""
    label: str | tuple[str, ...] = "label"
    """The column with the label; several columns of 0 and 1 are the labels of a multi-label task."""
    label_separator: str | None = Field(default=None, min_length=1)
    """What stands between the labels where a row has several in one text (`|`, say); makes the task multi-label."""
    kind: Literal["auto", "classification", "multilabel", "regression"] = "auto"
    """`auto`: multi-label where rows hold lists, regression where labels are numbers with fractions, else
    classification."""
    label_names: Annotated[tuple[str, ...], BeforeValidator(all_text)] | None = None
    """The labels' names in their order; where the file holds whole numbers, the names of 0, 1, 2 …"""
    train_rows: Count | None = Field(default=None, ge=1)
    """Keep a seeded sample of this many rows of train (for experiments with few labels)."""
    metric: Literal["auto", "accuracy", "macro_f1", "micro_f1", "matthews", "f1", "spearman", "pearson"] = "auto"
    """What counts on dev and heads the report; `macro_f1` where labels are rare. `auto`: GLUE's own, else accuracy,
    `micro_f1` for several labels, `spearman` for scores."""
    split_seed: Seed = 0
    """Seed of the stratified 80/10/10 split, where dev or test are not given, and of `train_rows`."""

    @model_validator(mode="after")
    def _check_labels(self) -> "TaskConfig":
        if not self.label:
            raise ValueError("label names no column")
        for field, names in (("label", self.label), ("label_names", self.label_names)):
            if isinstance(names, tuple) and len(set(names)) < len(names):
                raise ValueError(f"{field} holds a name twice")
        if isinstance(self.label, tuple) and self.label_separator is not None:
            raise ValueError("label_separator is for one column of labels; label names several")
        return self


class CorpusConfig(Settings):
    """The general corpus: sources cut to units, de-duplicated."""

    sources: tuple[PathText, ...] = Field(min_length=1)
    """Text, JSONL (also .gz, .zst) or Parquet files, folders or globs of these, or `hub:NAME[:CONFIG]`;
    `NAME=PATH` names a source, else the file's name does."""
    text_column: str = "text"
    """The column with the text in JSONL, Parquet and hub sources."""
    unit: Literal["sentence", "line", "chunk"] = "sentence"
    """A unit is a sentence, a line (a row of a table), or neighbouring sentences up to `chunk_words`."""
    chunk_words: Count = Field(default=85, ge=8, le=512)
    """Words in a chunk at most (the paper's units have 70 to 85)."""
    min_words: Count = Field(default=4, ge=1)
    """Shorter units are dropped (words)."""
    max_words: Count = Field(default=128, ge=1)
    """Longer units are cut or dropped (words), see `long_units`."""
    long_units: Literal["cut", "drop"] = "cut"
    """Sentences and lines of more than `max_words` words are cut to pieces of so many, or dropped."""
    shard_units: Count = Field(default=500_000, ge=1)
    """Units in a shard file."""
    base: PathText | None = None
    """A finished corpus onto which the sources are built: its shards are taken over, only new units are written."""
    stem: Literal["none", "english"] = "none"
    """Retrieval compares words as they are, or by their English stems (Snowball)."""
    stop_words: Literal["keep", "drop"] = "keep"
    """Whether English function words count as terms of a unit."""

    @model_validator(mode="after")
    def _check_lengths(self) -> "CorpusConfig":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is more than max_words ({self.max_words})")
        return self
