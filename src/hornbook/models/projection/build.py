"""Make a student of its teacher's parameters."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.models.encode import Batch
from hornbook.models.families import sizes_of
from hornbook.models.probe import random_encoder
from hornbook.models.projection.axes import Axis, Picked, Widths, reduced
from hornbook.models.projection.refit import Refit
from hornbook.models.projection.stack import is_norm
from hornbook.models.projection.structure import Structure, structure_of
from hornbook.models.projection.survey import Survey, directions
from hornbook.recipe import FamilyConfig


@torch.no_grad()
def project(
    teacher: Any,
    config: Any,
    layers: Sequence[int],
    batches: Sequence[Batch],
    family: FamilyConfig | None = None,
    *,
    refit: bool = True,
) -> Any:
    """Return a student that computes what its teacher computes, as far as its widths allow.

    Args:
        teacher: a base encoder in evaluation mode.
        config: the student's configuration (see `student_config`).
        layers: the teacher's layer for each of the student's, from 0, rising.
        batches: a sample of what the teacher reads; the sequences of a batch have one length.
        family: the teacher's, if not in the table.
        refit: refit the maps and norms by least squares; False to see the parameters as they are projected.

    Returns:
        the student, a base encoder in evaluation mode; what its teacher lacks is random, the same each time.

    Raises:
        HornbookError: the sample is too small, the teacher's hidden states are not finite, or a parameter cannot be
            projected.
    """
    sizes, widths = sizes_of(config, family), Widths.of(teacher.config, family)
    tokens = sum(batch["input_ids"].numel() for batch in batches)
    if tokens < 2 * sizes.hidden:
        raise HornbookError(
            f"student.init: {tokens} tokens of text are too few to find {sizes.hidden} directions in; a projected "
            f"student of this width needs at least {2 * sizes.hidden}"
        )
    # One sequence: what every module gives is kept in memory.
    structure = structure_of(teacher, {name: tensor[:1] for name, tensor in batches[0].items()}, family)
    survey = Survey(teacher, structure, batches)
    basis = directions(survey.moment(), sizes.hidden)
    shared = len(structure.paths) == 1 < len(layers)
    layers = [0] if shared else layers
    picked = list(zip(layers, survey.pick(layers, sizes, widths), strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        student = random_encoder(config).eval()
    _fill(student, teacher, structure, basis, widths, picked)
    if refit and not shared:
        Refit(teacher, survey.stack, student, structure, basis, widths, picked, batches).run()
    return student


def _fill(
    student: Any,
    teacher: Any,
    structure: Structure,
    basis: Tensor,
    widths: Widths,
    picked: Sequence[tuple[int, Picked]],
) -> None:
    """Give a student its teacher's parameters, multiplied by the basis on axes of hidden states, cut on others."""
    own = dict(teacher.named_parameters())
    wider = math.sqrt(basis.shape[0] / basis.shape[1])
    for name, parameter in student.named_parameters():
        number, source, cut = structure.layer_of(name), name, picked[0][1]
        if number is not None:
            layer, cut = picked[number]
            source = structure.paths[layer] + name.removeprefix(structure.paths[number])
        if source not in own:
            continue
        axes = structure.axes[source]
        value = reduced(own[source], axes, widths, basis, cut)
        if (
            axes == (Axis.HIDDEN,)
            and name.endswith("weight")
            and is_norm(teacher.get_submodule(source.rpartition(".")[0]))
        ):
            # Gains cannot be rotated: their mean, and a narrower norm gives smaller vectors.
            value = torch.full_like(value, float(own[source].double().square().mean().sqrt()) * wider)
        if value.shape != parameter.shape:
            raise HornbookError(
                f"student.init: the teacher's {source}, of shape {tuple(own[source].shape)}, cannot be projected to "
                f"{tuple(parameter.shape)}"
            )
        parameter.copy_(value)
