"""Taps: the query, key and value projections of one layer, taken while the model runs, and nothing after them."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.models.families import family_of


@dataclass(frozen=True)
class Projections:
    """What a layer's attention projects from its input, before any head is cut.

    Attributes:
        query: shape (sequences, length, hidden).
        key: the same shape.
        value: the same shape.
    """

    query: Tensor
    key: Tensor
    value: Tensor

    def __iter__(self) -> Any:
        """Iterate over query, key and value."""
        return iter((self.query, self.key, self.value))


class _AllTapped(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass once all taps have fired."""


class Tapped(nn.Module):
    """An encoder that runs up to the three projections of one layer and stops there.

    The projections are caught by forward hooks on the model's own modules, so nothing is projected twice and
    the attention implementation does not matter. What stands above the taps never runs.
    """

    def __init__(self, model: nn.Module, layer: int) -> None:
        """Tap a base encoder.

        Args:
            model: a base encoder (`AutoModel`) of a family in the table.
            layer: the layer to tap, counted from 1.

        Raises:
            HornbookError: the model has no such layer, or its family is unknown.
        """
        super().__init__()
        self.model = model
        config: Any = model.config
        if not 1 <= layer <= config.num_hidden_layers:
            raise HornbookError(f"there is no layer {layer} in an encoder of {config.num_hidden_layers} layers")
        family = family_of(config)
        attention = model.get_submodule(family.attention.format(layer=layer - 1))
        self._caught: dict[str, Tensor] = {}
        for role, name in zip(("query", "key", "value"), family.projections, strict=True):
            attention.get_submodule(name).register_forward_hook(self._catch(role))

    def _catch(self, role: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._caught[role] = output
            if len(self._caught) == 3:
                raise _AllTapped

        return hook

    def forward(self, **inputs: Tensor) -> Projections:
        """Return the projections for `input_ids` and `attention_mask` of shape (sequences, length)."""
        self._caught.clear()
        try:
            self.model(**inputs)
        except _AllTapped:
            caught = dict(self._caught)
            self._caught.clear()
            return Projections(**caught)
        raise RuntimeError("the model ran to its end without passing its taps")


def freeze(model: nn.Module) -> nn.Module:
    """Return `model` in evaluation mode, with no parameter that learns."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()
