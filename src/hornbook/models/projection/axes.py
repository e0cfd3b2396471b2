"""What each axis of an encoder's parameters runs over: hidden states, heads, feed-forward neurons."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from hornbook.models.families import HEAD_WIDTH_SETTINGS, KEY_HEADS, WIDTH_SETTINGS, Sizes, family_of, sizes_of
from hornbook.models.probe import random_encoder
from hornbook.recipe import FamilyConfig


class Axis(Enum):
    """What an axis of a parameter runs over."""

    HIDDEN = "hidden"
    """Coordinates of the hidden states."""
    HEADS = "heads"
    """Coordinates of all heads, one head after another."""
    HEAD = "head"
    """Heads: one number for each."""
    FEED_FORWARD = "feed_forward"
    """Neurons of a feed-forward layer."""
    KEPT = "kept"
    """Anything else: tokens, positions, a width of its own."""


def axes_of(config: Any, maps: Sequence[str], family: FamilyConfig | None = None) -> dict[str, tuple[Axis, ...]]:
    """Return what the axes of each parameter run over.

    They are found by comparing the shapes of models of other widths. An axis that grows with the hidden states runs
    over heads where a map before the attention writes it, or the map after the attention reads it.

    Args:
        config: an encoder's configuration.
        maps: paths of the linear maps of one layer, in the order in which they run.
        family: its family, if not in the table.

    Returns:
        a tuple for each parameter of the base encoder, by name.
    """
    names, sizes = family_of(config, family), sizes_of(config, family)
    wide, deep = copy.deepcopy(config), copy.deepcopy(config)
    for name in (names.hidden, names.heads, KEY_HEADS, *WIDTH_SETTINGS):
        value = getattr(config, name, None)
        if value is not None and (name not in WIDTH_SETTINGS or value == sizes.hidden):
            setattr(wide, name, 2 * value)
    setattr(deep, names.feed_forward, 2 * sizes.feed_forward)
    shapes, wider, deeper = _shapes(config), _shapes(wide), _shapes(deep)
    fed = next(i for i, name in enumerate(maps) if shapes[f"{name}.weight"] != deeper[f"{name}.weight"])
    # The map before the feed-forward ones reads what the heads give; all before it make queries, keys and values.
    into, out = {_inside(name, names) for name in maps[: fed - 1]}, _inside(maps[fed - 1], names)
    found = {}
    for name, shape in shapes.items():
        module, _, kind = _inside(name, names).rpartition(".")
        axes = []
        for i, size in enumerate(shape):
            if deeper[name][i] != size:
                axes.append(Axis.FEED_FORWARD)
            elif wider[name][i] == size:
                axes.append(Axis.KEPT)
            elif size == sizes.heads:
                axes.append(Axis.HEAD)
            elif (module in into and i == 0) or (module == out and i == 1) or kind in names.biases:
                axes.append(Axis.HEADS)
            else:
                axes.append(Axis.HIDDEN)
        found[name] = tuple(axes)
    return found


def layer_path(family: FamilyConfig, number: int) -> str:
    """Return the path of a layer, counted from 0; where all layers are one module, that of this module."""
    before, numbered, _ = family.attention.partition("{layer}")
    return f"{before}{number}" if numbered else family.attention.rpartition(".")[0]


def _inside(name: str, family: FamilyConfig) -> str:
    """Return the path of a module of a layer within its layer, of another module its whole path."""
    layer = layer_path(family, 0)
    before = layer.rpartition(".")[0] + "." if "{layer}" in family.attention else layer + "."
    if not name.startswith(before):
        return name
    rest = name.removeprefix(before)
    return rest.split(".", 1)[-1] if "{layer}" in family.attention else rest


Axes = dict[str, tuple[Axis, ...]]


@dataclass(frozen=True)
class Picked:
    """Which heads and neurons of its teacher's layer a student's layer takes.

    Attributes:
        heads: which of its heads, in order.
        neurons: which of its feed-forward neurons, in order.
    """

    heads: Tensor
    neurons: Tensor


@dataclass(frozen=True)
class Widths:
    """The teacher's widths, by which a place on an axis is found.

    Attributes:
        sizes: its sizes.
        keys: heads of keys and values.
        head: the width of a head.
        by_heads: whether a fused projection has query, key and value of one head side by side.
    """

    sizes: Sizes
    keys: int
    head: int
    by_heads: bool

    @classmethod
    def of(cls, config: Any, family: FamilyConfig | None = None) -> "Widths":
        """Return those of a model."""
        sizes = sizes_of(config, family)
        keys = getattr(config, KEY_HEADS, None) or sizes.heads
        head = next((w for n in HEAD_WIDTH_SETTINGS if (w := getattr(config, n, None))), sizes.hidden // sizes.heads)
        return cls(sizes, int(keys), int(head), family_of(config, family).fused == "heads")

    def places(self, axis: Axis, size: int, picked: Picked) -> Tensor:
        """Return the places on an axis of heads or neurons that a student's layer takes.

        Args:
            axis: not hidden states.
            size: the length of the axis in the teacher; a multiple of the width where several maps are fused.
            picked: the heads and neurons.

        Returns:
            indices in the student's order.
        """
        if axis is Axis.FEED_FORWARD:
            return _blocks(picked.neurons, self.sizes.feed_forward, size)
        if axis is Axis.HEAD:
            return picked.heads
        if size == self.keys * self.head and self.keys != self.sizes.heads:
            shared = self.sizes.heads // self.keys
            return _spread(torch.unique(picked.heads // shared), self.head)
        whole = self.sizes.heads * self.head
        if self.by_heads:
            return _spread(picked.heads, self.head * (size // whole))
        return _blocks(_spread(picked.heads, self.head), whole, size)


def reduced(parameter: Tensor, axes: tuple[Axis, ...], widths: Widths, basis: Tensor, picked: Picked) -> Tensor:
    """Return a parameter in the student's widths: every axis is multiplied by the basis, or selected from.

    Args:
        parameter: the teacher's.
        axes: what its axes run over.
        widths: the teacher's.
        basis: directions of the hidden states, shape (teacher's hidden, student's hidden).
        picked: the heads and neurons of its layer.

    Returns:
        the parameter, in float64.
    """
    value = parameter.double()
    for i, axis in enumerate(axes):
        if axis is Axis.HIDDEN:
            value = torch.tensordot(value, basis, dims=([i], [0])).movedim(-1, i)
        elif axis is not Axis.KEPT:
            value = value.index_select(i, widths.places(axis, value.shape[i], picked))
    return value


def _spread(heads: Tensor, width: int) -> Tensor:
    """Return the places of whole heads."""
    return (heads[:, None] * width + torch.arange(width)).flatten()


def _blocks(places: Tensor, width: int, size: int) -> Tensor:
    """Return the same places in each block of an axis."""
    return (torch.arange(0, size, width)[:, None] + places).flatten()


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = random_encoder(config)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
