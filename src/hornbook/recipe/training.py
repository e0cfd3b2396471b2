"""Settings of models and of their training."""

import itertools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, WrapValidator, field_validator, model_validator

from hornbook.errors import nearest
from hornbook.recipe.objectives import OBJECTIVES
from hornbook.recipe.settings import NOT_IN_KEY, Count, PathText, Seeds, Settings, Share, names_as_text

__all__ = [
    "WHOLE_VOCABULARY",
    "AdaptConfig",
    "DistilConfig",
    "EvaluateConfig",
    "FamilyConfig",
    "FinetuneConfig",
    "StudentConfig",
    "TeacherConfig",
    "TrainingConfig",
]

WHOLE_VOCABULARY: Final = "all"
"""The value of `student.vocabulary` with which a student has all word pieces of its teacher."""

# All cells of a grid share the teacher's outputs, which are computed once.
_ONE_IN_GRID = {"grid", "labels", "textbook_units"}


class TrainingConfig(Settings):
    """Settings that every kind of training has."""

    batch: Count = Field(default=32, ge=1)
    """Sequences per optimiser step."""
    micro_batch_tokens: Count = Field(default=16_384, ge=1)
    """Maximum tokens in a micro-batch, padding counted: a step is cut into micro-batches, a longer sequence goes
    alone. Lower it if memory runs out; results change by rounding only."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """Peak learning rate; it decays linearly to 0."""
    warmup: Share = 0.06
    """Share of the steps over which the learning rate rises to its peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW (not applied to biases and layer norms)."""
    clip: float = Field(default=1.0, gt=0)
    """Clip gradients to this norm."""
    max_length: Count = Field(default=128, ge=4)
    """Truncate inputs to this many tokens."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Numeric precision. `auto`: bfloat16 where the hardware multiplies it fast (AMX, recent GPUs), else float32."""
    checkpoint_minutes: float = Field(default=5.0, gt=0, json_schema_extra=NOT_IN_KEY)
    """Minutes between the checkpoints that a killed run resumes from."""
    report_to: tuple[str, ...] = Field(default=(), json_schema_extra=NOT_IN_KEY)
    """Experiment trackers to log to: `tensorboard`, `wandb` or another one that transformers' Trainer knows."""


class FinetuneConfig(TrainingConfig):
    """Fine-tune the teacher and keep the weights that score best on dev."""

    epochs: Count = Field(default=3, ge=1)
    """Passes over the training data."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout probability during training; by default the model's own."""
    class_weights: Literal["none", "balanced"] = "none"
    """Class weights. `balanced`: weight gold labels by the inverse of their frequency in train (mean weight 1)."""
    evaluate_steps: Count | None = Field(default=None, ge=1)
    """Optimiser steps between evaluations on dev; by default one pass over the data."""
    patience: Count | None = Field(default=None, ge=1)
    """Stop after this many evaluations on dev without a better score; by default never."""
    grid: dict[str, tuple[Any, ...]] = Field(default={})
    """Hyper-parameter grid, such as `{learning_rate: [1e-5, 2e-5], batch: [16, 32]}`: train every combination, keep
    the best on dev, report all scores."""

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        if self.grid:
            fields = type(self).model_fields
            legal = [name for name in fields if name not in _ONE_IN_GRID and not fields[name].json_schema_extra]
            for name, values in self.grid.items():
                if name not in legal:
                    near = nearest(name, legal)
                    raise ValueError(f"grid: no setting {name!r} that can vary; the nearest is {near!r}")
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
        """Return the settings of every combination in the grid.

        Returns:
            settings without a grid, the last setting of the grid changing fastest; one element if there is no grid.

        Raises:
            ValidationError: a value is invalid (pydantic's error).
        """
        own = self.model_dump(exclude={"grid"})
        combinations = itertools.product(*self.grid.values())
        return [type(self)(**{**own, **dict(zip(self.grid, values, strict=True))}) for values in combinations]


class AdaptConfig(FinetuneConfig):
    """Fit the student to the task (paper, section 2.2, step 3)."""

    epochs: Count = Field(default=5, ge=1)
    """Passes over the training data."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Peak learning rate; small students need more than the paper's 1e-5."""
    labels: Literal["gold", "teacher", "both"] = "gold"
    """Labels to fit: gold labels, the teacher's outputs on the same texts, or a weighted sum of both losses."""
    gold_weight: Share = 0.5
    """For `both`: weight of the gold labels; the teacher's outputs get the rest."""
    temperature: float = Field(default=2.0, gt=0)
    """For `teacher` and `both`: softmax temperature of both models' outputs (not in a regression)."""
    textbook_units: Count = Field(default=0, ge=0)
    """For `teacher` and `both`: number of random units of the textbook to learn from too, by the teacher's outputs
    alone; for tasks with few labelled cases."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.textbook_units and self.labels == "gold":
            raise ValueError("textbook_units: a textbook has no gold labels; set labels to teacher or both")
        if self.labels == "teacher" and self.class_weights != "none":
            raise ValueError("class_weights: weights gold labels, but labels is teacher; set it to none")
        return self


class FamilyConfig(Settings):
    """Module paths and setting names of a model family that hornbook does not know."""

    attention: str = Field(min_length=1)
    """Path of a layer's self-attention inside the base model; `{layer}` counts from 0. A path without it names one
    module that all layers share, as ALBERT's do."""
    projections: tuple[str, ...] = Field(min_length=1, max_length=3)
    """Names of the query, key and value projections in it, or of the one that makes all three."""
    fused: Literal["blocks", "heads"] = "blocks"
    """Layout of one projection that makes all three: `blocks`, all queries, then all keys, then all values; `heads`,
    query, key and value of the first head, then of the second (DeBERTa v1)."""
    biases: tuple[str, ...] = ()
    """Names of parameters added to query, key and value after the projection, "" for none."""
    sequence_first: bool = False
    """Set if the projections give tensors of shape (length, sequences, width)."""
    layers: str = "num_hidden_layers"
    """Name of the number of layers in the model's configuration."""
    hidden: str = "hidden_size"
    """Name of the width of the hidden states in it."""
    heads: str = "num_attention_heads"
    """Name of the number of attention heads in it."""
    feed_forward: str = "intermediate_size"
    """Name of the width of the feed-forward layers in it."""
    dropouts: tuple[str, ...] = ()
    """Names of the dropout probabilities in it."""

    @model_validator(mode="after")
    def _check_projections(self) -> "FamilyConfig":
        if len(self.projections) == 2:
            raise ValueError("projections: name three (query, key, value), or the one that makes all three")
        if self.biases and len(self.biases) != 3:
            raise ValueError("biases: name three (query, key, value), and '' where there is none")
        return self


class TeacherConfig(Settings):
    """The teacher model."""

    model: PathText
    """Folder or hub name of an encoder that `AutoModelForSequenceClassification` loads. For `file`: a general
    encoder, whose family and tokenizer the student gets; it may also be projected, and give the relations."""
    kind: Literal["task", "ready", "general", "file"] = "task"
    """`task`: fine-tune it first; `ready`: it is a classifier of this task already; `general`: use it as it is;
    `file`: labels come from `file`."""
    file: PathText | None = None
    """For `file`: a table with the columns `text` (and `text_pair`) or `id`; `label`, `probabilities` or one for each
    label; and perhaps `weight`. Several rows of one text are averaged."""
    label_names: Annotated[dict[str, str], BeforeValidator(names_as_text)] | None = None
    """For a ready teacher: map the teacher's label names to the task's, where they differ."""
    finetune: FinetuneConfig = FinetuneConfig()
    """Settings of its fine-tuning."""
    seeds: Seeds = (0,)
    """Seeds of its fine-tuning; all are reported, and the best on dev is the teacher."""
    family: FamilyConfig | None = None
    """Module paths and setting names, for a model family that hornbook does not know."""

    @model_validator(mode="after")
    def _check_file(self) -> Self:
        if (self.kind == "file") != (self.file is not None):
            raise ValueError("file: set both teacher.kind to file and teacher.file, or neither")
        return self


def _vocabulary(value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except ValidationError:
        raise ValueError("set it to all, auto, or the number of word pieces to keep") from None


class StudentConfig(Settings):
    """The student model: the teacher's family and tokenizer at another size."""

    layers: Count = Field(default=6, ge=1, le=1000)
    """Number of Transformer layers."""
    hidden: Count = Field(default=384, ge=8, le=1 << 16)
    """Width of the hidden states."""
    heads: Count | None = Field(default=None, ge=1, le=1 << 16)
    """Number of attention heads; by default hidden / 32, or the next lower number that divides `hidden`."""
    feed_forward: Count | None = Field(default=None, ge=1, le=1 << 18)
    """Width of the feed-forward layers; by default four times `hidden` (ModernBERT: one and a half times)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout probability in distillation; use 0 for short budgets (some million tokens), 0.1 for long ones."""
    init: PathText = "random"
    """Initial weights: `random`, `projected` (the teacher's own weights, projected to any size up to its own),
    `layers` (copy evenly spaced layers of the teacher; same width), or the folder or hub name of a student distilled
    earlier."""
    # Not in keys: it changes the teacher and the tokenizer, whose keys are.
    vocabulary: Annotated[Literal["all", "auto"] | Annotated[Count, Field(ge=1)], WrapValidator(_vocabulary)] = Field(
        default="all", json_schema_extra=NOT_IN_KEY
    )
    """For recipes: word pieces of the teacher's tokenizer to keep: `all`, a number (the most frequent in the recipe's
    task and textbooks), or `auto` (as many as make up 97% of their text, at most 7,900, beside what the tokenizer
    needs). The teacher reads through these too."""


BUDGETS = ("epochs", "steps", "tokens")


class DistilConfig(TrainingConfig):
    """Distil the student through a textbook."""

    tokens: Count | None = Field(default=1_500_000, ge=1)
    """Budget in tokens of the textbook, padding not counted; the textbook is repeated as needed."""
    steps: Count | None = Field(default=None, ge=1)
    """Budget in optimiser steps, instead of `tokens`."""
    epochs: Count | None = Field(default=None, ge=1)
    """Budget in passes over the textbook, instead of `tokens`."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate; it decays linearly to 0."""
    warmup: Share = 0.01
    """Share of the steps over which the learning rate rises to its peak."""
    adam_epsilon: float = Field(default=1e-6, gt=0)
    """Epsilon of AdamW."""
    pack: Literal["none", "length", "pairs"] = "none"
    """Packing of short units: `length` joins neighbours up to `max_length`; `pairs` makes two segments of two."""
    objectives: dict[str, float | dict[str, Any]] = Field(default={"relations": 1.0}, min_length=1)
    """Losses to add up, with their weights: `relations` (MiniLMv2), `logits` (Hinton et al. 2015; the teacher must be
    a classifier), `attention` (MiniLM; as many heads as the teacher), `hidden_states` (TinyBERT), or one of an
    installed package."""
    temperature: float = Field(default=2.0, gt=0)
    """For the `logits` objective: softmax temperature of both models' outputs."""
    relation_heads: Count | None = Field(default=None, ge=1)
    """For the `relations` objective: number of relation heads, a divisor of both hidden sizes. By default 48 for
    base-size teachers, 64 for others, or the largest legal number below."""
    teacher_layer: Count | None = Field(default=None, ge=1)
    """For `relations` and `attention`: the teacher's layer, counted from 1; by default the last, and for relations 21
    of BERT-large and 19 of RoBERTa-large and XLM-R-large."""
    cache: Literal["none", "auto", "float16", "int8"] = "none"
    """Keep on disk what the teacher computes for the textbook, for all seeds, passes and student sizes: as `float16`,
    or `int8` (half the space, less exact). `auto`: float16 on a CPU, if the teacher would compute it at least twice
    and it fits into half of the free disk space. A budget below one pass then reads the same random part of the
    textbook with every seed."""
    snapshots: tuple[Annotated[Count, Field(ge=1)], ...] = ()
    """Steps after which to keep a copy of the student (paper, Figure 2)."""

    @field_validator("objectives", mode="after")
    @classmethod
    def _check_objectives(cls, objectives: dict[str, float | dict[str, Any]]) -> dict[str, float | dict[str, Any]]:
        for name, setting in objectives.items():
            if name not in OBJECTIVES:
                raise ValueError(OBJECTIVES.unknown(name))
            weight = setting.get("weight") if isinstance(setting, dict) else setting
            if not isinstance(weight, int | float) or not weight > 0:
                raise ValueError(f"{name}: set its weight to a number greater than 0, not {weight!r}")
        return objectives

    @model_validator(mode="after")
    def _check_budget(self) -> "DistilConfig":
        if self.budget is None:
            raise ValueError("give a budget: tokens, steps or epochs")
        if (
            self.budget == "steps"
            and self.steps is not None
            and (late := max(self.snapshots, default=0)) > self.steps
        ):
            raise ValueError(f"snapshots: there is no step {late}; the budget is {self.steps} steps")
        return self

    @property
    def budget(self) -> str | None:
        """Which setting is the budget: `epochs` before `steps` before `tokens`."""
        return next((name for name in BUDGETS if getattr(self, name) is not None), None)

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """Return a copy with some settings changed.

        Args:
            settings: new values by name. A budget (tokens, steps or epochs) replaces the old budget.

        Returns:
            the changed copy.

        Raises:
            ValidationError: a setting is unknown or a value is invalid (pydantic's error).
        """
        budgets = dict.fromkeys(BUDGETS) if settings.keys() & set(BUDGETS) else {}
        return type(self)(**{**self.model_dump(), **budgets, **settings})


class EvaluateConfig(Settings):
    """Evaluation of models."""

    speed_sentences: Count = Field(default=512, ge=1)
    """Number of dev sentences to measure speed on."""
    batch: Count = Field(default=32, ge=1)
    """Sentences per batch."""
    max_length: Count = Field(default=128, ge=4)
    """Truncate inputs to this many tokens."""
