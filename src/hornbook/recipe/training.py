"""Settings of models and of their training."""

import difflib
import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from hornbook.recipe.objectives import OBJECTIVES
from hornbook.recipe.settings import NOT_IN_KEY, Count, PathText, Seeds, Settings, Share, names_as_text

__all__ = [
    "AdaptConfig",
    "DistilConfig",
    "EvaluateConfig",
    "FamilyConfig",
    "FinetuneConfig",
    "StudentConfig",
    "TeacherConfig",
    "TrainingConfig",
]

# Outputs of a teacher are asked for once for all cells of a grid.
_ONE_IN_GRID = {"grid", "labels", "textbook_units"}


class TrainingConfig(Settings):
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
    grid: dict[str, tuple[Any, ...]] = Field(default={})
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


class FamilyConfig(Settings):
    """Where a model outside the table of families keeps what distillation needs."""

    attention: str = Field(min_length=1)
    """Path of a layer's self-attention inside the base model; `{layer}` counts from 0. A path without it names one
    module that all layers share, as ALBERT's do."""
    projections: tuple[str, ...] = Field(min_length=1, max_length=3)
    """Names of the query, key and value projections in it, or of the one that makes all three."""
    fused: Literal["blocks", "heads"] = "blocks"
    """How one projection holds all three: `blocks`, all queries, then all keys, then all values; `heads`, query, key
    and value of the first head, then of the second (DeBERTa v1)."""
    biases: tuple[str, ...] = ()
    """Names of parameters that the attention adds to query, key and value after the projection, "" for none."""
    sequence_first: bool = False
    """Whether the projections give tensors of shape (length, sequences, width)."""
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
        if self.biases and len(self.biases) != 3:
            raise ValueError("biases: name three (query, key, value), with '' for what has none")
        return self


class TeacherConfig(Settings):
    """Who teaches."""

    model: PathText
    """Any encoder that `AutoModelForSequenceClassification` loads: a folder or a hub name."""
    kind: Literal["task", "ready", "general"] = "task"
    """`task`: fine-tuned here; `ready`: a classifier of this task already; `general`: taken as it is."""
    label_names: Annotated[dict[str, str], BeforeValidator(names_as_text)] | None = None
    """For a ready teacher: the task's name of each of the teacher's labels, where they differ."""
    finetune: FinetuneConfig = FinetuneConfig()
    """How it is fine-tuned."""
    seeds: Seeds = (0,)
    """Seeds of its fine-tuning; all are reported, and the best on dev teaches."""
    family: FamilyConfig | None = None
    """For a model of a family that hornbook does not know: where its projections stand."""


class StudentConfig(Settings):
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


BUDGETS = ("epochs", "steps", "tokens")


class DistilConfig(TrainingConfig):
    """Distillation through a textbook, by MiniLMv2's relations (Wang et al. 2021)."""

    tokens: Count | None = Field(default=1_500_000, ge=1)
    """The budget in the textbook's word pieces, padding not counted; the textbook is read again as needed."""
    steps: Count | None = Field(default=None, ge=1)
    """The budget in optimiser steps, instead of `tokens`."""
    epochs: Count | None = Field(default=None, ge=1)
    """The budget in passes over the textbook, instead of `tokens`."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """The highest learning rate."""
    warmup: Share = 0.01
    """Share of the steps over which the learning rate rises."""
    adam_epsilon: float = Field(default=1e-6, gt=0)
    """AdamW's epsilon."""
    pack: Literal["none", "length", "pairs"] = "none"
    """`length` joins neighbouring units up to `max_length`, `pairs` sets two of them side by side as segments."""
    objectives: dict[str, float | dict[str, Any]] = Field(default={"relations": 1.0}, min_length=1)
    """Losses to add up, with their weights: `relations` (MiniLMv2), `logits` (Hinton et al. 2015; the teacher must be
    a classifier), `attention` (MiniLM; as many heads as the teacher), `hidden_states` (TinyBERT), or one of an
    installed package."""
    temperature: float = Field(default=2.0, gt=0)
    """Of the `logits` objective: both models' outputs are divided by it."""
    relation_heads: Count | None = Field(default=None, ge=1)
    """Relation heads; must divide both hidden sizes. By default 48 for base-size teachers, 64 for large ones,
    or the largest legal number below."""
    teacher_layer: Count | None = Field(default=None, ge=1)
    """The teacher's layer, counted from 1; by default the last, 21 for BERT-large, 19 for RoBERTa-large."""
    snapshots: tuple[Annotated[Count, Field(ge=1)], ...] = ()
    """Steps after which the student is kept as it is then, beside its end (paper, Figure 2)."""

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
        """Return these settings with some others; a budget among them takes the place of what was the budget.

        Raises:
            pydantic.ValidationError: there is no such setting, or a value is not legal.
        """
        budgets = dict.fromkeys(BUDGETS) if settings.keys() & set(BUDGETS) else {}
        return type(self)(**{**self.model_dump(), **budgets, **settings})


class EvaluateConfig(Settings):
    """How models are measured."""

    speed_sentences: Count = Field(default=512, ge=1)
    """Sentences of dev on which speed is measured."""
    batch: Count = Field(default=32, ge=1)
    """Sentences in a batch."""
    max_length: Count = Field(default=128, ge=4)
    """Longer inputs are cut to this many word pieces."""
