"""The modules of an encoder in the order in which they run."""

from dataclasses import dataclass
from typing import Any

from hornbook.models.encode import Batch, model_inputs
from hornbook.models.families import family_of, sizes_of
from hornbook.models.projection.axes import Axes, Axis, axes_of, layer_path
from hornbook.models.projection.stack import is_map, is_norm, watch
from hornbook.recipe import FamilyConfig


@dataclass(frozen=True)
class Structure:
    """The maps and norms of an encoder in the order of their first calls.

    Attributes:
        paths: of its layers.
        before: paths of those that run before the layers.
        inside: paths in a layer of those that run in it; the first layer may lack a norm.
        after: paths of those that run after the layers.
        axes: what the axes of each parameter run over.
    """

    paths: tuple[str, ...]
    before: tuple[str, ...]
    inside: tuple[str, ...]
    after: tuple[str, ...]
    axes: Axes

    def layer_of(self, name: str) -> int | None:
        """Return the layer of a parameter, from 0; None beside the layers."""
        return next((i for i, path in enumerate(self.paths) if name.startswith(f"{path}.")), None)

    def axes_in(self, layer: int, path: str) -> tuple[Axis, ...]:
        """Return what the axes of the weight of a module in a layer run over."""
        return self.axes[f"{self.paths[layer]}.{path}.weight"]

    @property
    def out(self) -> str:
        """The path in a layer of the map that reads what the heads give."""
        return self._find(1, Axis.HEADS)

    @property
    def enters(self) -> str:
        """The path in a layer of the first map into its feed-forward part."""
        return self._find(0, Axis.FEED_FORWARD)

    @property
    def closing(self) -> str:
        """The path in a layer of the map out of its feed-forward part."""
        return self._find(1, Axis.FEED_FORWARD)

    @property
    def heads_beside_layers(self) -> bool:
        """Whether a parameter beside the layers has a number for each head."""
        return any(Axis.HEAD in axes and self.layer_of(name) is None for name, axes in self.axes.items())

    def _find(self, place: int, axis: Axis) -> str:
        last = len(self.paths) - 1
        return next(p for p in self.inside if len(a := self.axes_in(last, p)) == 2 and a[place] is axis)


def structure_of(model: Any, batch: Batch, family: FamilyConfig | None = None) -> Structure:
    """Find the order of an encoder's modules by running it.

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
    leaves = [name for name, module in model.named_modules() if is_map(module) or is_norm(module)]
    _, seen = watch(lambda: model(**model_inputs(model, batch)), model, leaves)
    order = list(seen)
    inner = [[name for name in order if name.startswith(f"{path}.")] for path in paths]
    within = {name for part in inner for name in part}
    places = [i for i, name in enumerate(order) if name in within]
    last = [name.removeprefix(f"{paths[-1]}.") for name in inner[-1]]
    maps = [name for name in inner[-1] if is_map(model.get_submodule(name))]
    return Structure(
        paths,
        tuple(name for name in order[: places[0]] if name not in within),
        tuple(last),
        tuple(name for name in order[places[-1] + 1 :] if name not in within),
        axes_of(model.config, maps, family),
    )
