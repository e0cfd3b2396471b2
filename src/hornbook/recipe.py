"""The recipe: one YAML file, one typed model; the docstring under a field is its help."""

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hornbook.errors import HornbookError


def _whole_number(value: Any) -> Any:
    """Accept 1.5e6 and "2e5" where a whole number is meant: YAML reads them as a float and a string."""
    try:
        number = float(value) if isinstance(value, str | float) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else value


def _all_text(value: Any) -> Any:
    """Accept {1: good} where names are meant: YAML reads 1 as a number."""
    return {str(its): str(ours) for its, ours in value.items()} if isinstance(value, dict) else value


def _at_home(value: str) -> str:
    """Expand `~` in a path, also behind `NAME=`."""
    name, named, path = value.rpartition("=")
    return f"{name}{named}{Path(path).expanduser()}" if path.startswith("~") else value


Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
PathText = Annotated[str, AfterValidator(_at_home)]
Count = Annotated[int, BeforeValidator(_whole_number)]
Share = Annotated[float, Field(ge=0, le=1)]
M = TypeVar("M", bound=BaseModel)
_UNION_BRANCHES = {"contextualized", "general", "constrained-int", "literal['auto']", "function-before"}
# Marks that YAML would take for its own: a block (`|`, `>`), a tag, an alias.
_LONE_MARK = re.compile(r"[\s|>,;:/!&*%@#+-]+")
# Outputs of a teacher are asked for once for all cells of a grid.
_ONE_IN_GRID = {"grid", "labels", "textbook_units"}
# How pydantic says that settings were wanted.
_DICTIONARY = re.compile(r"a valid dictionary( or instance of \w+| or object to extract fields from)?")
NOT_IN_KEY: dict[str, Any] = {"changes_result": False}


class _Settings(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        validate_default=True,
    )


class TaskConfig(_Settings):
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
    label_names: tuple[str, ...] | None = None
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


class CorpusConfig(_Settings):
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
    """Longer units are dropped (words)."""
    shard_units: Count = Field(default=250_000, ge=1)
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


class ContextualizedConfig(_Settings):
    """The units that BM25 finds for the keywords of each anchor (paper, section 2.1)."""

    kind: Literal["contextualized"] = "contextualized"
    """`contextualized`: what is found for the task's own texts; or `general`: a uniform sample."""
    k: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Units retrieved for an anchor; `auto` picks k so that the textbook is about `share` of the corpus."""
    share: Share = 0.05
    """For `k: auto`: the textbook's units over the corpus's."""
    min_units: Count = Field(default=50_000, ge=1)
    """For `k: auto`: the textbook is not smaller than this (units)."""
    k1: float = Field(default=1.2, ge=0)
    """BM25's saturation of term frequency."""
    b: Share = 0.75
    """BM25's normalisation by unit length."""
    keywords: Literal["rake", "all"] = "rake"
    """What of an anchor makes its query: `rake`: the terms of its best phrases; `all`: every word but stop words."""
    phrases: Count = Field(default=20, ge=1)
    """For `keywords: rake`: the best RAKE phrases of an anchor that make its query (Yao et al. 2022: 20)."""


class GeneralConfig(_Settings):
    """A uniform seeded sample of the corpus."""

    kind: Literal["general"] = "general"
    """`general`: a uniform sample; or `contextualized`: what is found for the task's own texts."""
    units: Count | None = Field(default=None, ge=1)
    """How many units; neither this nor `tokens`: as many as the recipe's contextualized textbook."""
    tokens: Count | None = Field(default=None, ge=1)
    """How many tokens, counted as Unicode words and single punctuation marks, instead of `units`."""
    sources: tuple[str, ...] | None = None
    """Draw only from the sources with these names."""
    seed: Seed = 0
    """Seed of the sample."""

    @model_validator(mode="after")
    def _check_size(self) -> "GeneralConfig":
        if self.units is not None and self.tokens is not None:
            raise ValueError("give units or tokens, not both")
        return self


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
TextbookConfig = Annotated[ContextualizedConfig | GeneralConfig, Field(discriminator="kind")]


class TrainingConfig(_Settings):
    """What every kind of training shares."""

    batch: Count = Field(default=32, ge=1)
    """Sequences in an optimiser step."""
    micro_batch_tokens: Count = Field(default=16_384, ge=1)
    """What is computed at once: a step is cut into micro-batches of at most this many tokens, padding counted
    (a longer sequence goes alone)."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """The highest learning rate; it decays linearly to 0."""
    warmup: Share = 0.06
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's weight decay (none on biases and layer norms)."""
    clip: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    max_length: Count = Field(default=128, ge=4)
    """Longer inputs are cut to this many word pieces."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto`: bfloat16 where the machine multiplies it in hardware (AMX, recent GPUs), else float32."""
    checkpoint_minutes: float = Field(default=5.0, gt=0, json_schema_extra=NOT_IN_KEY)
    """Minutes between checkpoints, from which a killed run goes on."""
    report_to: tuple[str, ...] = Field(default=(), json_schema_extra=NOT_IN_KEY)
    """Where else the curves go as it trains: `tensorboard`, `wandb` or what else transformers' Trainer knows."""


class FinetuneConfig(TrainingConfig):
    """Fine-tuning of the teacher; the weights that are best on dev are kept."""

    epochs: Count = Field(default=3, ge=1)
    """Passes over the training data."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout while it learns; by default the model's own."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: a gold label counts the more, the rarer it is in train (mean weight 1)."""
    evaluate_steps: Count | None = Field(default=None, ge=1)
    """Optimiser steps between two looks at dev; by default one pass over the data."""
    patience: Count | None = Field(default=None, ge=1)
    """Stop early after so many looks at dev without a better score; by default never."""
    grid: dict[str, tuple[Any, ...]] = {}
    """Other values for some of these settings, `{learning_rate: [1e-5, 2e-5], batch: [16, 32]}`: every combination
    is trained, the best on dev is kept, and all scores are reported."""

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        if self.grid:
            fields = type(self).model_fields
            legal = [name for name in fields if name not in _ONE_IN_GRID and not fields[name].json_schema_extra]
            for name, values in self.grid.items():
                if name not in legal:
                    near = difflib.get_close_matches(name, legal, n=1, cutoff=0.0)
                    raise ValueError(f"grid: no setting {name!r} that could vary; the nearest is {near[0]!r}")
                if not values:
                    raise ValueError(f"grid: {name}: give at least one value")
            try:
                self.cells()
            except ValidationError as error:
                first = error.errors()[0]
                place = ["grid", *map(str, first["loc"])]
                raise ValueError(f"{': '.join(place)}: {first['msg'].removeprefix('Value error, ')}") from None
        return self

    def cells(self) -> list[Self]:
        """Return the settings of every combination in the grid, itself where there is none.

        Raises:
            pydantic.ValidationError: a value is not legal.
        """
        own = self.model_dump(exclude={"grid"})
        combinations = itertools.product(*self.grid.values())
        return [type(self)(**{**own, **dict(zip(self.grid, values, strict=True))}) for values in combinations]


class AdaptConfig(FinetuneConfig):
    """Fitting the student to the task (paper, section 2.2, step 3)."""

    epochs: Count = Field(default=5, ge=1)
    """Passes over the training data."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """The highest learning rate; small students need more than the paper's 1e-5."""
    labels: Literal["gold", "teacher", "both"] = "gold"
    """What the student is fitted to: gold labels, the teacher's outputs on the same texts, or a weighted sum."""
    gold_weight: Share = 0.5
    """For `both`: the weight of the gold labels; the teacher's outputs have the rest."""
    temperature: float = Field(default=2.0, gt=0)
    """For `teacher` and `both`: both models' outputs are divided by it (not in a regression)."""
    textbook_units: Count = Field(default=0, ge=0)
    """For `teacher` and `both`: so many units of the textbook, drawn at random, are learned from too, by the
    teacher's outputs alone; for tasks with few labelled cases."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.textbook_units and self.labels == "gold":
            raise ValueError("textbook_units: a textbook has no gold labels; set labels to teacher or both")
        if self.labels == "teacher" and self.class_weights != "none":
            raise ValueError("class_weights: weigh gold labels, but labels is teacher; set it to none")
        return self


class FamilyConfig(_Settings):
    """Where a model outside the table of families keeps what distillation needs."""

    attention: str = Field(pattern=r"\{layer\}")
    """Path of a layer's self-attention inside the base model; `{layer}` counts from 0."""
    projections: tuple[str, ...] = Field(min_length=1, max_length=3)
    """Names of the query, key and value projections in it, or of the one that makes all three side by side."""
    layers: str = "num_hidden_layers"
    """The model configuration's name for the number of layers."""
    hidden: str = "hidden_size"
    """Its name for the width of the hidden states."""
    heads: str = "num_attention_heads"
    """Its name for the number of attention heads."""
    feed_forward: str = "intermediate_size"
    """Its name for the width of the feed-forward layers."""
    dropouts: tuple[str, ...] = ()
    """Its names for the probabilities of dropout."""

    @model_validator(mode="after")
    def _check_projections(self) -> "FamilyConfig":
        if len(self.projections) == 2:
            raise ValueError("projections: name three (query, key, value), or the one that makes all three")
        return self


class TeacherConfig(_Settings):
    """Who teaches."""

    model: PathText
    """Any encoder that `AutoModelForSequenceClassification` loads: a folder or a hub name."""
    kind: Literal["task", "ready", "general"] = "task"
    """`task`: fine-tuned here; `ready`: a classifier of this task already; `general`: taken as it is."""
    label_names: Annotated[dict[str, str], BeforeValidator(_all_text)] | None = None
    """For a ready teacher: the task's name of each of the teacher's labels, where they differ."""
    finetune: FinetuneConfig = FinetuneConfig()
    """How it is fine-tuned."""
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Seeds of its fine-tuning; all are reported, and the best on dev teaches."""
    family: FamilyConfig | None = None
    """For a model of a family that hornbook does not know: where its projections stand."""


class StudentConfig(_Settings):
    """Who learns: the teacher's family and tokenizer, another size."""

    layers: Count = Field(default=6, ge=1)
    """Transformer layers."""
    hidden: Count = Field(default=384, ge=8)
    """Width of the hidden states."""
    heads: Count | None = Field(default=None, ge=1)
    """Attention heads; by default one for every 32 of the width, or the next lower number that divides it."""
    feed_forward: Count | None = Field(default=None, ge=1)
    """Width of the feed-forward layers; by default four times `hidden`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout while it learns; 0 where the budget is short (some million tokens), 0.1 in long ones."""
    init: PathText = "random"
    """How its weights begin: `random`, `layers` (the teacher's own at even spacing; widths must agree), or the
    folder or hub name of a student distilled before."""


class DistilConfig(TrainingConfig):
    """Distillation through a textbook, by MiniLMv2's relations (Wang et al. 2021)."""

    tokens: Count | None = Field(default=1_500_000, ge=1)
    """The budget in the textbook's word pieces, padding not counted; the textbook is read again as needed."""
    steps: Count | None = Field(default=None, ge=1)
    """The budget in optimiser steps, instead of `tokens`."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """The highest learning rate."""
    warmup: Share = 0.01
    """Share of the steps over which the learning rate rises."""
    adam_epsilon: float = Field(default=1e-6, gt=0)
    """AdamW's epsilon."""
    pack: Literal["none", "length", "pairs"] = "none"
    """`length` joins neighbouring units up to `max_length`, `pairs` sets two of them side by side as segments."""
    objectives: dict[Literal["relations", "logits"], Annotated[float, Field(gt=0)]] = Field(
        default={"relations": 1.0}, min_length=1
    )
    """What the student learns from its teacher, with weights: `relations` (MiniLMv2), `logits` (Hinton et al. 2015;
    the teacher must be a classifier)."""
    temperature: float = Field(default=2.0, gt=0)
    """Of the `logits` objective: both models' outputs are divided by it."""
    relation_heads: Count | None = Field(default=None, ge=1)
    """Relation heads; must divide both hidden sizes. By default 48 for base-size teachers, 64 for large ones,
    or the largest legal number below."""
    teacher_layer: Count | None = Field(default=None, ge=1)
    """The teacher's layer, counted from 1; by default the last, 21 for BERT-large, 19 for RoBERTa-large."""

    @model_validator(mode="after")
    def _check_budget(self) -> "DistilConfig":
        if self.steps is None and self.tokens is None:
            raise ValueError("give a budget: tokens or steps")
        return self


class EvaluateConfig(_Settings):
    """How models are measured."""

    speed_sentences: Count = Field(default=512, ge=1)
    """Sentences of dev on which speed is measured."""
    batch: Count = Field(default=32, ge=1)
    """Sentences in a batch."""
    max_length: Count = Field(default=128, ge=4)
    """Longer inputs are cut to this many word pieces."""


Baseline = Literal["undistilled", "logits", "released", "tf-idf"]
BASELINES: tuple[str, ...] = get_args(Baseline)


class Recipe(_Settings):
    """A whole run: task, corpus, textbooks, teacher, student, and how each stage goes."""

    name: Name
    """The run's name: its results stand in RUNS/NAME."""
    task: TaskConfig
    """What to learn."""
    corpus: CorpusConfig
    """The general corpus."""
    textbooks: dict[Name, TextbookConfig] = Field(default={"contextualized": ContextualizedConfig()}, min_length=1)
    """From what to learn, by name; a student is distilled from each."""
    teacher: TeacherConfig
    """Who teaches."""
    student: StudentConfig = StudentConfig()
    """Who learns."""
    distil: DistilConfig = DistilConfig()
    """How the student is distilled."""
    adapt: AdaptConfig = AdaptConfig()
    """How the student is adapted to the task."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """How models are measured."""
    baselines: tuple[Baseline, ...] = ()
    """What else is adapted and scored, to compare: `undistilled`, the student never distilled; `logits`, the same
    fitted to the teacher's outputs on the task alone; `released`, a model distilled by others, only adapted;
    `tf-idf`, logistic regression on word counts."""
    released: PathText | None = None
    """For the baseline `released`: a folder or hub name."""
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """One student a textbook and seed; corpus, textbooks and teacher are shared."""
    threads: Count | None = Field(default=None, ge=1, json_schema_extra=NOT_IN_KEY)
    """CPU threads for training; by default as many as PyTorch finds cores."""

    @model_validator(mode="after")
    def _check_names(self) -> "Recipe":
        for name in {"teacher", *BASELINES} & self.textbooks.keys():
            raise ValueError(f"a textbook cannot be named {name!r}, which the report needs for another row")
        if ("released" in self.baselines) != (self.released is not None):
            raise ValueError("released: name a model there and put `released` among the baselines, or neither")
        needs_teacher = "logits" in self.baselines or self.adapt.labels != "gold"
        if self.teacher.kind == "general" and needs_teacher:
            raise ValueError(
                "a general teacher has no outputs to fit a student to: leave out the baseline logits and set "
                "adapt.labels to gold, or take a teacher of kind task or ready"
            )
        if self.teacher.kind == "general" and "logits" in self.distil.objectives:
            raise ValueError("distil.objectives: a general teacher has no logits; teacher.kind must be task or ready")
        if self.teacher.label_names is not None and self.teacher.kind != "ready":
            raise ValueError("teacher.label_names: only a teacher of kind ready comes with labels of its own")
        longest = max(cell.max_length for config in (self.adapt, self.teacher.finetune) for cell in config.cells())
        if self.evaluate.max_length < longest:
            raise ValueError(
                f"evaluate.max_length ({self.evaluate.max_length}) is less than the {longest} of training"
            )
        return self


def load_recipe(path: Path | str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe from a YAML file.

    Args:
        path: the file.
        overrides: values by dotted field name ("distil.tokens"), as YAML text; they win over the file.

    Raises:
        HornbookError: no such file, not YAML, an unknown key (the nearest is named), or an illegal value.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise HornbookError(f"{path}: no such recipe file") from None
    except OSError as error:
        raise HornbookError(f"{path}: cannot be read as a recipe file: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HornbookError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise HornbookError(f"{path}: a recipe is a mapping of stages to settings, see `hornbook new`")
    for name, text in (overrides or {}).items():
        _set(values, name, parse_value(text, f"--{name}"))
    return validate(Recipe, values, str(path))


def parse_value(text: str, where: str) -> Any:
    """Return what a setting's text on the command line means, read as YAML; a lone mark (`|`) is itself.

    Raises:
        HornbookError: it is not YAML; names `where`.
    """
    if _LONE_MARK.fullmatch(text):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise HornbookError(f"{where}: {text!r} is not understood (values are read as YAML)") from None


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """Return `values` as a `model`.

    Raises:
        HornbookError: a value is wrong: one line that names `where`, the field and what is legal.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise HornbookError(f"{where}: {_explain(model, error)}") from None


def textbook_config(values: Mapping[str, Any], where: str) -> ContextualizedConfig | GeneralConfig:
    """Return the settings of a textbook, its model picked by `kind`.

    Raises:
        HornbookError: the kind is unknown or a value is wrong.
    """
    models: Sequence[type[ContextualizedConfig | GeneralConfig]] = (ContextualizedConfig, GeneralConfig)
    by_kind = {str(m.model_fields["kind"].default): m for m in models}
    kind = str(values.get("kind", "contextualized"))
    if kind not in by_kind:
        raise HornbookError(f"{where}: no textbook of kind {kind!r}; the kinds are {', '.join(by_kind)}")
    return validate(by_kind[kind], values, where)


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise HornbookError(f"--{name}: {parent} holds no settings")
        values = inner
    values[last] = value


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Say in one line what is wrong first, and how much else is."""
    first, *others = error.errors()
    place = [str(part) for part in first["loc"]]
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "union_tag_invalid":
        return f"{'.'.join(place)}: no kind {first['ctx']['tag']!r}; the kinds are {first['ctx']['expected_tags']}"
    if first["type"] == "union_tag_not_found":
        return f"{'.'.join(place)}: kind is missing; say contextualized or general"
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.0)
        nearest = f"; the nearest known key is {near[0]!r}" if near else ""
        return f"unknown key {'.'.join(_spoken(place))!r}{nearest}{more}"
    if first["type"] == "missing":
        return f"{'.'.join(place)} is missing{more}"
    got = "" if isinstance(first.get("input"), dict) else f", not {first.get('input')!r}"
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    message = _DICTIONARY.sub("a mapping of settings", message)
    field = f"{'.'.join(_spoken(place))}: " if place else ""
    return f"{field}{message[0].lower()}{message[1:]}{got}{more}"


def _spoken(place: list[str]) -> list[str]:
    """Drop what pydantic adds to a place for the branch of a union, which the user never wrote."""
    return [part for part in place if part not in _UNION_BRANCHES]


def _known_keys(model: Any, place: Sequence[str]) -> list[str]:
    """Return the legal keys at a place of an error, walking through unions and mappings."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if not place:
            return list(model.model_fields)
        about = model.model_fields.get(place[0])
        return _known_keys(about.annotation, place[1:]) if about else []
    found: list[str] = []
    for argument in get_args(model):
        kind = getattr(argument, "model_fields", {}).get("kind")
        if kind is not None and place and place[0] == kind.default:
            return _known_keys(argument, place[1:])
        found += _known_keys(argument, place)
    if not found and place:
        for argument in get_args(model):
            found += _known_keys(argument, place[1:])
    return found
