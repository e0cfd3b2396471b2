"""Run an encoder over a sample layer by layer and see what its modules take and give."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.models.encode import Batch, model_inputs

Seen = Mapping[str, tuple[Tensor, Tensor]]
"""The first input and the output of a module's first call, by the module's path."""
T = TypeVar("T")


def flat(states: Tensor) -> Tensor:
    """Return hidden states with one row for each token."""
    return states.reshape(-1, states.shape[-1])


def is_map(module: nn.Module) -> bool:
    """Return whether a module is a linear map."""
    return _dimensions(module) == 2 and not isinstance(module, nn.Embedding)


def is_norm(module: nn.Module) -> bool:
    """Return whether a module is a norm with a gain for each coordinate."""
    return _dimensions(module) == 1


def _dimensions(module: nn.Module) -> int:
    weight = getattr(module, "weight", None)
    return weight.dim() if isinstance(weight, Tensor) else 0


class _AllSeen(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass once every watched module has run."""


def watch(run: Callable[[], Any], root: nn.Module, paths: Collection[str], *, stop: bool = False) -> tuple[Any, Seen]:
    """Run something and keep what modules take and give in their first call.

    Args:
        run: calls the modules.
        root: holds the modules.
        paths: of the modules below it.
        stop: stop as soon as all of them have been called.

    Returns:
        what `run` returns, None if it was stopped; and what was seen, in the order of the calls.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def hook_of(path: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if path not in seen:
                # Longformer's attention scales its queries in place.
                seen[path] = inputs[0], output.clone()
                if stop and len(seen) == len(paths):
                    raise _AllSeen

        return hook

    handles = [root.get_submodule(path).register_forward_hook(hook_of(path)) for path in paths]
    try:
        with torch.inference_mode():
            return run(), seen
    except _AllSeen:
        return None, seen
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class _Call:
    """All that a layer takes beside the hidden states."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def of(self, layer: nn.Module, states: Tensor) -> Tensor:
        output = layer(states, *self.args, **self.kwargs)
        changed: Tensor = output if isinstance(output, Tensor) else output[0]
        return changed


class Stack:
    """An encoder over a sample: between two layers it holds the hidden states of all batches.

    So a layer can be run again with other weights, and memory does not grow with the number of layers.

    Args:
        model: a base encoder in evaluation mode.
        layers: its layers in order.
        batches: the sample.
        entered: called with the number of a layer and the hidden states that it takes, for each batch.

    Attributes:
        states: the hidden states of each batch, at first what the first layer takes.
        last: the hidden states that the model returns for each batch.

    Raises:
        HornbookError: the model changes the hidden states between its layers.
    """

    def __init__(
        self,
        model: Any,
        layers: Sequence[nn.Module],
        batches: Sequence[Batch],
        entered: Callable[[int, Tensor], None] = lambda _number, _states: None,
    ) -> None:
        self.layers = layers
        self.states: list[Tensor] = []
        self.last: list[Tensor] = []
        self._calls: list[list[_Call]] = []
        handles = [
            handle
            for number, layer in enumerate(layers)
            for handle in (
                layer.register_forward_pre_hook(self._remember(model, number, entered), with_kwargs=True),
                layer.register_forward_hook(self._leave),
            )
        ]
        try:
            for batch in batches:
                self._calls.append([])
                with torch.inference_mode():
                    self.last.append(model(**model_inputs(model, batch))[0])
        finally:
            for handle in handles:
                handle.remove()

    def _remember(self, model: Any, number: int, entered: Callable[[int, Tensor], None]) -> Any:
        def hook(_layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            named = dict(kwargs)
            states, rest = (args[0], args[1:]) if args else (named.pop("hidden_states"), ())
            entered(number, states)
            if number == 0:
                self.states.append(states)
            elif not torch.allclose(states, self._left, equal_nan=True):
                raise HornbookError(
                    f"student.init: a {model.config.model_type} model of these settings changes its hidden states "
                    "between layers (a convolution?), so it cannot be projected"
                )
            self._calls[-1].append(_Call(rest, named))

        return hook

    def _leave(self, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        self._left = output if isinstance(output, Tensor) else output[0]

    def watch(self, number: int, paths: Collection[str], keep: Callable[[Tensor, Seen], T]) -> list[T]:
        """Run a layer as far as the watched modules; the hidden states stay as they are.

        Args:
            number: of the layer.
            paths: of the modules in it.
            keep: takes the layer's hidden states and what was seen; what it returns is kept.

        Returns:
            what is kept of each batch.
        """
        layer = self.layers[number]
        found = []
        for states, calls in zip(self.states, self._calls, strict=True):
            _, seen = watch(lambda s=states, c=calls: c[number].of(layer, s), layer, paths, stop=True)  # type: ignore[misc]
            found.append(keep(states, seen))
        return found

    def advance(self, number: int, paths: Collection[str], keep: Callable[[Tensor, Seen, Tensor], T]) -> list[T]:
        """Run a layer; its output becomes the hidden states.

        Args:
            number: of the layer.
            paths: of modules in it.
            keep: takes the layer's hidden states, what was seen, and the new ones; what it returns is kept.

        Returns:
            what is kept of each batch.
        """
        layer = self.layers[number]
        found = []
        for i, calls in enumerate(self._calls):
            states = self.states[i]
            self.states[i], seen = watch(lambda s=states, c=calls: c[number].of(layer, s), layer, paths)  # type: ignore[misc]
            found.append(keep(states, seen, self.states[i]))
        return found
