"""The modules of an encoder and what their parameters' axes run over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.models.encode import Batch, model_inputs
from hornbook.models.families import family_of, sizes_of
from hornbook.models.projection.axes import Axes, Axis, axes_of, layer_path
from hornbook.recipe import FamilyConfig


@dataclass(frozen=True)
class Structure:
    """The layers of an encoder, their linear maps, and the axes of all parameters.

    Attributes:
        paths: of its layers.
        maps: paths in a layer of its linear maps, in the order of their first calls.
        axes: what the axes of each parameter run over.
    """

    paths: tuple[str, ...]
    maps: tuple[str, ...]
    axes: Axes

    def layer_of(self, name: str) -> int | None:
        """Return the layer of a parameter, from 0; None beside the layers."""
        return next((i for i, path in enumerate(self.paths) if name.startswith(f"{path}.")), None)

    @property
    def out(self) -> str:
        """The path in a layer of the map that reads what the heads give."""
        return self._reading(Axis.HEADS)

    @property
    def closing(self) -> str:
        """The path in a layer of the map out of its feed-forward part."""
        return self._reading(Axis.FEED_FORWARD)

    @property
    def heads_beside_layers(self) -> bool:
        """Whether a parameter beside the layers has a number for each head."""
        return any(Axis.HEAD in axes and self.layer_of(name) is None for name, axes in self.axes.items())

    def _reading(self, axis: Axis) -> str:
        return next(path for path in self.maps if self.axes[f"{self.paths[-1]}.{path}.weight"][1] is axis)


def structure_of(model: Any, batch: Batch, family: FamilyConfig | None = None) -> Structure:
    """Find the modules of an encoder by running it.

    Args:
        model: a base encoder in evaluation mode.
        batch: a few tokens.
        family: its family, if not in the table.

    Returns:
        the structure.
    """
    names = family_of(model.config, family)
    count = sizes_of(model.config, family).layers if "{layer}" in names.attention else 1
    paths = tuple(layer_path(names, number) for number in range(count))
    inner = f"{paths[-1]}."
    maps = [name for name, module in model.named_modules() if name.startswith(inner) and _is_map(module)]
    maps = _as_called(model, batch, maps)
    return Structure(paths, tuple(name.removeprefix(inner) for name in maps), axes_of(model.config, maps, family))


def is_norm(module: nn.Module) -> bool:
    """Return whether a module is a norm with a gain for each coordinate."""
    return _dimensions(module) == 1


def _is_map(module: nn.Module) -> bool:
    return _dimensions(module) == 2 and not isinstance(module, nn.Embedding)


def _dimensions(module: nn.Module) -> int:
    weight = getattr(module, "weight", None)
    return weight.dim() if isinstance(weight, Tensor) else 0


def _as_called(model: Any, batch: Batch, names: Sequence[str]) -> list[str]:
    """Return the modules that run, in the order of their first calls."""
    called: dict[str, None] = {}
    handles = [
        model.get_submodule(name).register_forward_hook(lambda *_, n=name: called.setdefault(n)) for name in names
    ]
    try:
        with torch.inference_mode():
            model(**model_inputs(model, batch))
    finally:
        for handle in handles:
            handle.remove()
    return list(called)
