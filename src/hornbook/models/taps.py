"""Taps: tensors taken from inside a model while it runs. Layers above the last tap do not run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.models.encode import model_inputs
from hornbook.models.families import family_of, key_widths, nearest, sizes_of
from hornbook.recipe import FamilyConfig

PROJECTIONS = ("query", "key", "value")
LOGITS = "logits"
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Tap:
    """The output of a module inside the base model, or one of equal parts of it.

    Attributes:
        path: the module's path inside the base model.
        part: which part of the last dimension, counted from 0.
        parts: the number of parts: 3 if one projection gives query, key and value side by side.
        heads: how many times these parts repeat: once, or once for each attention head.
        call: which call of the module in a forward pass, counted from 1. Calls after the first are further layers of
            a model whose layers are one module.
        bias: path of a parameter that is added to the output.
        sequence_first: whether the module's output has the shape (length, sequences, width).
        width: the width of the module's whole output; None if any is accepted.
    """

    path: str
    part: int = 0
    parts: int = 1
    heads: int = 1
    call: int = 1
    bias: str | None = None
    sequence_first: bool = False
    width: int | None = None

    def view(self, output: Any) -> Tensor:
        """Return the tapped part of a module's output, as a view.

        Args:
            output: what the module returned.

        Returns:
            shape (sequences, length, heads, width of each head).

        Raises:
            HornbookError: the output is not a tensor, or cannot be divided into these parts.
        """
        parts = self.parts * self.heads
        if not isinstance(output, Tensor) or output.dim() != 3 or output.shape[-1] % parts:
            gives = f"a {type(output).__name__}"
            if isinstance(output, Tensor):
                gives = f"{output.shape[-1]} numbers a token" if output.dim() == 3 else f"{output.dim()} dimensions"
            raise HornbookError(
                f"{self.path}: gives {gives}, but a projection gives a tensor"
                f"{f' of {parts} equal parts' if parts > 1 else ''}; name another one in teacher.family"
            )
        whole: Tensor = output.transpose(0, 1) if self.sequence_first else output
        return whole.reshape(*whole.shape[:2], self.heads, self.parts, -1)[..., self.part, :]


@dataclass(frozen=True)
class OutputTap:
    """One of the model's own outputs, for which the model must run to its end.

    Attributes:
        field: its name in the output of a transformers model, such as "logits" or "hidden_states".
        index: which tensor, where the field is a tuple with one for each layer.
    """

    field: str
    index: int | None = None

    def take(self, output: Any) -> Tensor:
        """Return the tensor from a transformers model's output."""
        found = output[self.field]
        taken: Tensor = found if self.index is None else found[self.index]
        return taken


Taps = Mapping[str, Tap | OutputTap]
LOGITS_TAP = OutputTap(LOGITS)


def hidden_state_tap(layer: int) -> OutputTap:
    """Return the tap of a layer's output, counted from 1; 0 is the output of the embeddings.

    Shape (sequences, length, hidden). The last layer's is what the base model returns: families that normalise the
    hidden states once more after the last layer (ModernBERT) have done so.
    """
    return OutputTap("hidden_states", layer)


def projection_taps(config: Any, layer: int, family: FamilyConfig | None = None) -> dict[str, Tap]:
    """Return the taps of a layer's query, key and value projections, before they are split into heads.

    Each gives a tensor of shape (sequences, length, hidden); keys and values are narrower where several queries
    share them. In families that rotate queries and keys by position (ModernBERT) they are taken before that.

    Args:
        config: the model's Hugging Face configuration.
        layer: the layer, counted from 1.
        family: the paths of its projections, if not in the table.

    Returns:
        a tap for each of `PROJECTIONS`.

    Raises:
        HornbookError: the model has no such layer, its layers share several modules, or the family is unknown.
    """
    sizes = sizes_of(config, family)
    if not 1 <= layer <= sizes.layers:
        raise HornbookError(f"there is no layer {layer} in an encoder of {sizes.layers} layers")
    family = family_of(config, family)
    groups = getattr(config, "num_hidden_groups", 1) * getattr(config, "inner_group_num", 1)
    if "{layer}" not in family.attention and groups > 1:
        raise HornbookError(
            f"this {config.model_type} model has {groups} groups of layers; only one that all layers share can "
            "be distilled"
        )
    attention = family.attention.replace("{layer}", str(layer - 1))
    paths = [f"{attention}.{name}" for name in family.projections]
    queries, keys = key_widths(config, family)
    fused = len(paths) == 1
    taps = {}
    for part, (name, width) in enumerate(zip(PROJECTIONS, (queries, keys, keys), strict=True)):
        bias = family.biases[part] if family.biases else ""
        taps[name] = Tap(
            paths[0] if fused else paths[part],
            *((part, 3) if fused else (0, 1)),
            heads=sizes.heads if family.fused == "heads" else 1,
            call=1 if "{layer}" in family.attention else layer,
            bias=f"{attention}.{bias}" if bias else None,
            sequence_first=family.sequence_first,
            width=queries * 3 if fused else width,
        )
    return taps


def base_encoder(model: Any) -> Any:
    """Return the encoder inside a model with a head, or the model itself."""
    return getattr(model, model.base_model_prefix, model)


class _AllTapped(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass once all taps have fired."""


class Tapped(nn.Module):
    """A model whose forward pass returns its tapped tensors, and stops at the last tap.

    Forward hooks on the model's own modules take the tensors, so nothing is computed twice, and any attention
    implementation works. The hooks do nothing outside this module's own forward pass.

    Args:
        model: a base encoder (`AutoModel`), or one with a head (`AutoModelForSequenceClassification`).
        taps: where to take each tensor, by the names of the results.

    Raises:
        HornbookError: there is no module at a tap's path, its output is not as wide as the tap says, or it has
            no such bias.
    """

    def __init__(self, model: Any, taps: Taps) -> None:
        super().__init__()
        self.model = model
        self.taps = dict(taps)
        self._modules_tapped = {name: tap for name, tap in taps.items() if isinstance(tap, Tap)}
        self._outputs = {name: tap for name, tap in taps.items() if isinstance(tap, OutputTap)}
        self._flags = {f"output_{tap.field}": True for tap in self._outputs.values() if tap.field != LOGITS}
        self._caught: dict[str, Tensor] | None = None
        self._calls: Counter[str] = Counter()
        self._length = 0
        for tap in self._modules_tapped.values():
            _check_module(model, tap)
        for path in dict.fromkeys(tap.path for tap in self._modules_tapped.values()):
            _find(model, path).register_forward_hook(self._catch(path))

    def _catch(self, path: str) -> Any:
        mine = {name: tap for name, tap in self._modules_tapped.items() if tap.path == path}

        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if self._caught is None:
                return
            # DeBERTa runs the same projections again, over its relative position embeddings; these are not tapped.
            self._calls[path] += 1
            for name, tap in mine.items():
                if tap.call == self._calls[path]:
                    self._caught[name] = self._take(output, tap)
            if not self._outputs and len(self._caught) == len(self.taps):
                raise _AllTapped

        return hook

    def _take(self, output: Any, tap: Tap) -> Tensor:
        # Some attentions pad their input to a multiple of their window or block.
        taken = tap.view(output).flatten(-2)[:, : self._length]
        if self._outputs:  # the model goes on, and Longformer's scales its queries in place
            taken = taken.clone()
        return taken if tap.bias is None else taken + base_encoder(self.model).get_parameter(tap.bias)

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return the tapped tensors by name.

        Args:
            inputs: the model's inputs: `input_ids`, `attention_mask` of shape (sequences, length), ...

        Returns:
            a tensor for each tap, by its name.
        """
        caught: dict[str, Tensor] = {}
        self._caught, self._length = caught, inputs["input_ids"].shape[1]
        self._calls.clear()
        try:
            output = self.model(**inputs, **self._flags)
        except _AllTapped:
            return caught
        finally:
            self._caught = None
        if missing := self._modules_tapped.keys() - caught.keys():
            raise RuntimeError(f"the model ran to its end without passing its taps {sorted(missing)}")
        return caught | {name: tap.take(output) for name, tap in self._outputs.items()}

    def unreached(self, **inputs: Tensor) -> list[nn.Parameter]:
        """Return the trainable parameters of the model on which no tap depends.

        One backward pass in evaluation mode finds them. It changes neither gradients nor random states.

        Args:
            inputs: the model's inputs; by default a few tokens.

        Returns:
            these parameters, in the model's order.
        """
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        device = next(self.parameters()).device
        if not inputs:
            zeros = torch.zeros((1, 4), dtype=torch.long, device=device)
            batch = {"input_ids": zeros, "attention_mask": zeros + 1, "token_type_ids": zeros}
            inputs = model_inputs(self.model, batch)
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
                total = sum(tensor.float().sum() for tensor in self(**inputs).values())
                if not (isinstance(total, Tensor) and total.requires_grad):
                    return learning
                gradients = torch.autograd.grad(total, learning, allow_unused=True)
        finally:
            for module, mode in modes.items():
                module.training = mode
        return [parameter for parameter, gradient in zip(learning, gradients, strict=True) if gradient is None]


@contextmanager
def only_reached(tapped: Tapped) -> Iterator[None]:
    """Freeze the parameters on which no tap depends, within this context.

    DistributedDataParallel waits for the gradient of every trainable parameter, so parameters above the taps
    must not be trainable.
    """
    idle = tapped.unreached()
    for parameter in idle:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in idle:
            parameter.requires_grad_(True)


def freeze(model: M) -> M:
    """Return `model` in evaluation mode, with all parameters frozen."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def multiply_in_bfloat16(model: nn.Module) -> None:
    """Cast the linear layers of a frozen model to bfloat16, in place, for use under autocast.

    Autocast caches the casts of trainable weights for a step, but casts frozen weights again in each forward pass.
    The numbers are the same.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)


def _check_module(model: Any, tap: Tap) -> None:
    """Check that a tapped module and its bias are there, and that its output is as wide as the tap says."""
    width = getattr(_find(model, tap.path), "out_features", tap.width)
    if tap.width is not None and width != tap.width:
        raise HornbookError(
            f"teacher.family: {tap.path} gives {width} numbers a token, but of "
            f"{'a query, key and value' if tap.parts == 3 else 'a projection'} as wide as the hidden states "
            f"there would be {tap.width}"
        )
    attention, _, bias = (tap.bias or "").rpartition(".")
    if bias and not isinstance(getattr(_find(model, attention), bias, None), Tensor):
        raise HornbookError(f"teacher.family.biases: {attention} has no parameter {bias!r}")


def _find(model: Any, path: str) -> nn.Module:
    """Return the module at a path inside the base model, or report the first missing name and similar ones."""
    module: nn.Module = base_encoder(model)
    passed: list[str] = []
    for name in path.split("."):
        children = dict(module.named_children())
        if name not in children:
            raise HornbookError(
                f"teacher.family: this {model.config.model_type} model has no module {path!r}; "
                f"the nearest to {name!r} in {'.'.join(passed) or 'its base model'} are {nearest(name, children)}"
            )
        module = children[name]
        passed.append(name)
    return module
