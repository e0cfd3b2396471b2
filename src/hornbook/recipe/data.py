"""Settings of the task and of the general corpus."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from hornbook.errors import HornbookError
from hornbook.languages import AUTO, ENGLISH
from hornbook.metrics import METRICS
from hornbook.metrics import NAMES as METRIC_NAMES
from hornbook.recipe.settings import (
    Count,
    LanguageName,
    LanguageOrAuto,
    PathText,
    Seed,
    Settings,
    StemmerName,
    name_text,
    names_as_text,
)

__all__ = [
    "NO_LABEL",
    "CorpusConfig",
    "TaskConfig",
    "TermsConfig",
]

if TYPE_CHECKING:
    KindName: TypeAlias = str
    MetricName: TypeAlias = str
else:  # all that the table of metrics has
    KindName = Literal[("auto", *METRICS)]
    MetricName = Literal[("auto", *METRIC_NAMES)]


NO_LABEL = "none"
"""The value of `task.label` for texts without labels."""


def _one_character(value: object) -> object:
    """Accept the word tab, and backslash-t as a shell passes it on."""
    value = "\t" if value in ("tab", "\\t") else value
    if isinstance(value, str) and (len(value) != 1 or value in '"\r\n'):
        raise ValueError("a delimiter is one character, such as ';', or tab")
    return value


class TaskConfig(Settings):
    """The task: labelled text."""

    source: PathText
    """A CSV, TSV, TXT, JSON, JSONL (also .gz, .zst), Parquet or Arrow file; a folder with train/dev/test files (in
    parts too, named as on the hub, or with a folder for each split); `glue/NAME`; or a hub dataset."""
    folder: PathText | None = None
    """For `glue/NAME`: the folder with NAME/train.parquet and NAME/validation*.parquet. Default: the hub."""
    subset: str | None = None
    """The configuration of a hub dataset, or a folder inside a folder."""
    dev: PathText | None = None
    """The file with the dev split, if `source` is one file."""
    test: PathText | None = None
    """The file with the test split, if `source` is one file. It is left out if it has no labels."""
    delimiter: Annotated[str, BeforeValidator(_one_character)] | None = None
    """The separator of the columns of CSV, TSV and TXT files: one character or `tab`. Fields may then be quoted as in
    CSV. Default: a comma in CSV; a tab in TSV, where quotation marks are part of the text."""
    text: str | None = None
    """The column with the text. Default: `text` or `sentence`."""
    text_pair: str | None = None
    """The column with the second text of a pair."""
    label: str | tuple[str, ...] = "label"
    """The column with the label. Several columns of 0 and 1 make a multi-label task. `none`: texts without labels,
    which a ready teacher or a file labels."""
    label_separator: str | None = Field(default=None, min_length=1)
    """The separator of several labels in one text (such as `|`); makes the task multi-label."""
    kind: KindName = "auto"
    """The kind of labels. `classification`: any labels, named as written (in a CSV in which all labels end in .0,
    without it). `multilabel`: lists, also written as text, or vectors of 0 and 1. `regression`: numbers. `auto`:
    multilabel if rows hold lists, regression if labels are numbers and some have fractions, else classification."""
    label_names: Annotated[tuple[str, ...], BeforeValidator(names_as_text)] | None = None
    """The names of the labels in order, as written in the file; or the names of 0, 1, 2, … if the file holds such
    numbers."""
    positive: Annotated[str, BeforeValidator(name_text)] | None = None
    """The class for the metric `f1`, if there are two. Default: the second in order."""
    train_rows: Count | None = Field(default=None, ge=1)
    """Keep a random sample of this many rows of train (for experiments with few labels)."""
    metric: MetricName = "auto"
    """The metric that selects models on dev and heads the report. Use `macro_f1` for rare labels; `f1` is that of the
    class `positive`. `auto`: GLUE's own, else accuracy, `micro_f1` for several labels, `spearman` for scores."""
    split_seed: Seed = 0
    """Seed of the stratified 80/10/10 split, if dev or test are missing, and of `train_rows`."""

    @model_validator(mode="after")
    def _check_labels(self) -> "TaskConfig":
        if not self.label:
            raise ValueError("label names no column")
        for field, names in (("label", self.label), ("label_names", self.label_names)):
            if isinstance(names, tuple) and len(set(names)) < len(names):
                raise ValueError(f"{field} holds a name twice")
        if isinstance(self.label, tuple) and self.label_separator is not None:
            raise ValueError("label_separator is for one column of labels; label names several")
        if not self.is_labelled:
            for field in ("label_separator", "positive"):
                if getattr(self, field) is not None:
                    raise ValueError(f"{field} is for labels, but label is {NO_LABEL}")
            if self.metric != "auto":
                raise ValueError(
                    f"metric: without labels students are compared with their teacher; leave {self.metric} out"
                )
        if self.kind == "regression" and (self.label_names is not None or self.positive is not None):
            which = "label_names" if self.positive is None else "positive"
            raise ValueError(f"{which} is for classes, but kind is regression")
        return self

    @property
    def is_labelled(self) -> bool:
        """Whether the data has labels."""
        return self.label != NO_LABEL


class TermsConfig(Settings):
    """How text becomes terms, for the corpus and all textbooks."""

    language: LanguageOrAuto = ENGLISH
    """Language of the task and the corpus, by name or ISO 639-1 code (`german`, `de`): its stop words, abbreviations,
    end marks and stemmer. `auto`: that of most stop words in the task."""


def _other_stems(stem: str, language: str) -> str:
    return f"stem is {stem}, but the language is {language}; set stem to auto, or the language to {stem}"


class CorpusConfig(Settings):
    """The general corpus: sources cut into units, without duplicates."""

    sources: tuple[PathText, ...] = Field(min_length=1)
    """Text, JSONL (also .gz, .zst), Parquet or Arrow files, folders or globs of these, or `hub:NAME[:CONFIG]`.
    `NAME=PATH` names a source. Default: the file's name."""
    text_column: str = "text"
    """The column with the text in JSONL, Parquet, Arrow and hub sources."""
    unit: Literal["sentence", "line", "chunk"] = "sentence"
    """The unit: a sentence, a line (a row of a table), or neighbouring sentences up to `chunk_words`."""
    chunk_words: Count = Field(default=85, ge=8, le=512)
    """Maximum number of words in a chunk (the paper's units have 70 to 85)."""
    min_words: Count = Field(default=4, ge=1)
    """Drop units with fewer words."""
    max_words: Count = Field(default=128, ge=1)
    """Maximum number of words in a unit; see `long_units`."""
    long_units: Literal["cut", "drop"] = "cut"
    """Cut sentences and lines longer than `max_words` into pieces of that length, or drop them."""
    shard_units: Count = Field(default=500_000, ge=1)
    """Number of units in a shard file."""
    base: PathText | None = None
    """A finished corpus to extend: its shards are reused, and only new units are written."""
    language: LanguageName | None = None
    """Language of the text, see `terms.language`. Default: that of the recipe; without a recipe, english."""
    stem: StemmerName = "none"
    """Index words unchanged (`none`), or their stems (Snowball): `auto` for those of the language, or its name."""
    stop_words: Literal["keep", "drop"] = "keep"
    """Keep function words as terms of a unit, or drop them."""

    @model_validator(mode="after")
    def _check_lengths(self) -> "CorpusConfig":
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is more than max_words ({self.max_words})")
        if self.language is not None and self.stem not in ("none", AUTO, self.language):
            raise ValueError(_other_stems(self.stem, self.language))
        return self

    def spoken(self, language: str) -> "CorpusConfig":
        """Return the settings with the names of a language and its stemmer: equal ones for equal corpora.

        Args:
            language: the language, if the settings name none.

        Returns:
            the settings.

        Raises:
            HornbookError: they name the stemmer of another language.
        """
        spoken = self.language or language
        if self.stem not in ("none", AUTO, spoken):
            raise HornbookError(f"corpus: {_other_stems(self.stem, spoken)}")
        return self.model_copy(update={"language": spoken, "stem": spoken if self.stem == AUTO else self.stem})
