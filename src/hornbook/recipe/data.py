"""Settings of the task and of the general corpus."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from hornbook.metrics import METRICS
from hornbook.metrics import NAMES as METRIC_NAMES
from hornbook.recipe.settings import Count, PathText, Seed, Settings, name_text, names_as_text

__all__ = [
    "CorpusConfig",
    "TaskConfig",
]

if TYPE_CHECKING:
    KindName: TypeAlias = str
    MetricName: TypeAlias = str
else:  # all that the table of metrics has
    KindName = Literal[("auto", *METRICS)]
    MetricName = Literal[("auto", *METRIC_NAMES)]


def _one_character(value: object) -> object:
    """Accept the word tab, and the two characters that a shell hands on for it."""
    value = "\t" if value in ("tab", "\\t") else value
    if isinstance(value, str) and (len(value) != 1 or value in '"\r\n'):
        raise ValueError("a delimiter is one character, such as ';', or tab")
    return value


class TaskConfig(Settings):
    """What to learn: labelled text."""

    source: PathText
    """A CSV, TSV, TXT, JSON, JSONL or Parquet file, a folder with train/dev/test files (also in parts, as the hub
    names them, or with a folder for each split), `glue/NAME`, or a hub dataset."""
    folder: PathText | None = None
    """For `glue/NAME`: a folder that holds NAME/train.parquet and NAME/validation*.parquet; else the hub."""
    subset: str | None = None
    """For a hub dataset: the name of its configuration; for a folder: a folder in it."""
    dev: PathText | None = None
    """A file with the dev split, where `source` is one file."""
    test: PathText | None = None
    """A file with the test split, where `source` is one file; it is left out if it has no labels."""
    delimiter: Annotated[str, BeforeValidator(_one_character)] | None = None
    """What separates the columns of CSV, TSV and TXT files, one character or `tab`; fields may then be quoted as in
    CSV. Default: a comma in CSV; a tab in TSV, where quotation marks belong to the text."""
    text: str | None = None
    """The column with the text; by default `text` or `sentence`."""
    text_pair: str | None = None
    """The column with the second text of a pair, if the task is about pairs."""
    label: str | tuple[str, ...] = "label"
    """The column with the label; several columns of 0 and 1 are the labels of a multi-label task."""
    label_separator: str | None = Field(default=None, min_length=1)
    """What separates the labels where a row has several in one text (`|`, say); makes the task multi-label."""
    kind: KindName = "auto"
    """What labels are: `classification` takes any labels, named as they are written (in a CSV whose labels all end
    in .0, without it); `multilabel` takes lists, also written as text, or vectors of 0 and 1; `regression` takes
    numbers. `auto`: multilabel where rows hold lists, regression where labels are numbers and some have fractions,
    else classification."""
    label_names: Annotated[tuple[str, ...], BeforeValidator(names_as_text)] | None = None
    """The labels' names in their order, as they are written in the file; or the names of 0, 1, 2 … where the file
    holds such numbers."""
    positive: Annotated[str, BeforeValidator(name_text)] | None = None
    """Of two classes the one whose F1 is reported (`metric: f1`); default: the second in order."""
    train_rows: Count | None = Field(default=None, ge=1)
    """Keep a seeded sample of this many rows of train (for experiments with few labels)."""
    metric: MetricName = "auto"
    """What counts on dev and heads the report; `macro_f1` where labels are rare, `f1` is that of the class
    `positive`. `auto`: GLUE's own, else accuracy, `micro_f1` for several labels, `spearman` for scores."""
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
        if self.kind == "regression" and (self.label_names is not None or self.positive is not None):
            which = "label_names" if self.positive is None else "positive"
            raise ValueError(f"{which} is for classes, but kind is regression")
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
