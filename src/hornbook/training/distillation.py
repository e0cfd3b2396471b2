"""The loss of a distillation: a weighted sum of objectives between a tapped teacher and a tapped student."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hornbook.models.encode import Batch, model_inputs
from hornbook.models.taps import LOGITS_TAP, OutputTap, Tap, Tapped, Taps
from hornbook.recipe import validate
from hornbook.recipe.objectives import OBJECTIVES
from hornbook.training.objectives import Objective, Pair

_WEIGHT = "weight"


def create_objectives(pair: Pair, seed: int = 0) -> dict[str, Objective]:
    """Return the objectives of a distillation by name, in the order of `distil.objectives`.

    Args:
        pair: teacher, student and settings.
        seed: the seed of the random weights that some objectives have.

    Returns:
        an objective for each name.

    Raises:
        HornbookError: teacher and student do not fit an objective, or an option of one is invalid.
    """
    objectives: dict[str, Objective] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, weight in pair.config.objectives.items():
            given = {} if isinstance(weight, float) else {k: v for k, v in weight.items() if k != _WEIGHT}
            kind: type[Objective] = OBJECTIVES[name]
            objectives[name] = kind.create(pair, validate(kind.Options, given, f"distil.objectives.{name}"))
    return objectives


def weight_of(setting: float | Mapping[str, Any]) -> float:
    """Return the weight in a value of `distil.objectives`: a number, or a mapping with `weight` and options."""
    return setting if isinstance(setting, float) else float(setting[_WEIGHT])


def objective_versions(names: Iterable[str]) -> dict[str, int]:
    """Return the versions of objectives, for a content key; those of version 1 are left out."""
    versions = {name: OBJECTIVES[name].version for name in names}
    return {name: version for name, version in versions.items() if version > 1}


def all_taps(objectives: Mapping[str, Objective]) -> tuple[Taps, Taps]:
    """Return the taps of the teacher and of the student for all objectives, named "objective.tap"."""
    teacher: dict[str, Tap | OutputTap] = {}
    student: dict[str, Tap | OutputTap] = {}
    for name, objective in objectives.items():
        of_teacher, of_student = objective.taps()
        teacher |= {f"{name}.{tap}": where for tap, where in of_teacher.items()}
        student |= {f"{name}.{tap}": where for tap, where in of_student.items()}
    return teacher, student


def needs_head(objectives: Mapping[str, Objective]) -> bool:
    """Return whether an objective taps the logits: the teacher must be a classifier, and the student becomes one."""
    return any(LOGITS_TAP in taps.values() for taps in all_taps(objectives))


class Learner(Tapped):
    """The module that is trained: a tapped student, and the parameters of the objectives.

    Args:
        student: the student, with a head if an objective taps the logits.
        objectives: the objectives by name; their taps are set on the student.
    """

    def __init__(self, student: Any, objectives: Mapping[str, Objective]) -> None:
        super().__init__(student, all_taps(objectives)[1])
        self.objectives = nn.ModuleList(objectives.values())


class Recorded(Protocol):
    """What a teacher gave for each sequence when it was asked, in place of the teacher.

    Attributes:
        model: a model that takes the same inputs as the teacher.
    """

    model: Any

    def tensors(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the tapped tensors of a batch."""


def ask(teacher: Tapped, batch: Batch, bfloat16: bool = False) -> dict[str, Tensor]:
    """Return the tapped tensors of a frozen teacher for a batch, on the batch's device.

    Args:
        teacher: moved to that device if it is elsewhere.
        batch: of `Encoded.batch`.
        bfloat16: whether it runs in bfloat16.

    Returns:
        the tensors by name.
    """
    device = batch["input_ids"].device
    if next(teacher.parameters()).device != device:
        teacher.to(device)
    # The Trainer casts the student's pass only; the losses themselves stay in float32.
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        found: dict[str, Tensor] = teacher(**model_inputs(teacher.model, batch))
    return found


class Distillation:
    """The loss of a tapped student on a batch, against a tapped teacher.

    Args:
        teacher: a frozen model, with the taps of `all_taps`, or what it gave for these batches when it was asked.
        objectives: the objectives by name.
        weights: their weights by name.
        bfloat16: whether the teacher runs in bfloat16.
    """

    def __init__(
        self,
        teacher: Tapped | Recorded,
        objectives: Mapping[str, Objective],
        weights: Mapping[str, float],
        bfloat16: bool = False,
    ) -> None:
        self.teacher, self.objectives, self.weights, self.bfloat16 = teacher, objectives, weights, bfloat16

    def __call__(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted losses by name, each averaged over the sequences of the batch.

        Names come from the objectives; if two losses have the same name, the second gets its objective's name as
        prefix.
        """
        expected: Mapping[str, Tensor]
        if isinstance(self.teacher, nn.Module):
            expected = ask(self.teacher, batch, self.bfloat16)
        else:
            expected = self.teacher.tensors(batch)
        found = student(**model_inputs(self.teacher.model, batch))
        losses: dict[str, Tensor] = {}
        for name, objective in self.objectives.items():
            own = objective(_of(name, expected), _of(name, found), batch["attention_mask"])
            for part, loss in own.items():
                losses[part if part not in losses else f"{name}_{part}"] = loss * self.weights[name]
        return losses


def _of(objective: str, tapped: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{objective}."
    return {name.removeprefix(prefix): tensor for name, tensor in tapped.items() if name.startswith(prefix)}
