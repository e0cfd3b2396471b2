"""Taps: what some modules of a model give, taken while it runs; what stands above them need not run."""

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
    """Where a tensor is taken: the output of a module, or one of equal parts of it.

    Attributes:
        path: the module's path inside the base model.
        part: which part of the last dimension, counted from 0.
        parts: how many parts there are: 3 where query, key and value come side by side from one projection.
        heads: how many times these parts follow each other: once, or once for each attention head.
        call: which of the module's calls in a forward pass, counted from 1; later ones than 1 are further layers of
            a model whose layers are one module.
        bias: path of a parameter that is added to what is taken.
        sequence_first: whether the module gives tensors of shape (length, sequences, width).
    """

    path: str
    part: int = 0
    parts: int = 1
    heads: int = 1
    call: int = 1
    bias: str | None = None
    sequence_first: bool = False

    def view(self, output: Any) -> Tensor:
        """Return what is tapped of a module's output, as a view of shape (sequences, length, heads, width of each).

        Raises:
            HornbookError: the output is no tensor, or cannot be cut so.
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
        whole = output.transpose(0, 1) if self.sequence_first else output
        return whole.view(*whole.shape[:2], self.heads, self.parts, -1)[..., self.part, :]


def projection_taps(model: Any, layer: int, family: FamilyConfig | None = None) -> dict[str, Tap]:
    """Return the taps of what a layer's attention projects from its input, before any head is cut.

    Each gives a tensor of shape (sequences, length, hidden); keys and values are narrower where several queries
    share them. Where a family rotates queries and keys by their positions (ModernBERT), they are taken before that.

    Args:
        model: a base encoder, or a model with a head on one.
        layer: the layer, counted from 1.
        family: where its projections stand, if not as in the table.

    Raises:
        HornbookError: the model has no such layer or module, the module's output is not as wide as the hidden
            states, its layers share several modules, or the family is unknown.
    """
    sizes = sizes_of(model.config, family)
    if not 1 <= layer <= sizes.layers:
        raise HornbookError(f"there is no layer {layer} in an encoder of {sizes.layers} layers")
    family = family_of(model.config, family)
    groups = getattr(model.config, "num_hidden_groups", 1) * getattr(model.config, "inner_group_num", 1)
    if "{layer}" not in family.attention and groups > 1:
        raise HornbookError(
            f"this {model.config.model_type} model has {groups} groups of layers; only one that all layers share can "
            "be distilled"
        )
    attention = family.attention.replace("{layer}", str(layer - 1))
    paths = [f"{attention}.{name}" for name in family.projections]
    queries, keys = key_widths(model.config, family)
    for path, expected in zip(paths, (queries * 3,) if len(paths) == 1 else (queries, keys, keys), strict=True):
        width = getattr(_find(model, path), "out_features", expected)
        if width != expected:
            raise HornbookError(
                f"teacher.family: {path} gives {width} numbers a token, but of "
                f"{'a query, key and value' if len(paths) == 1 else 'a projection'} as wide as the hidden states "
                f"there would be {expected}"
            )
    taps = {}
    for part, name in enumerate(PROJECTIONS):
        bias = family.biases[part] if family.biases else ""
        if bias and not isinstance(getattr(_find(model, attention), bias, None), Tensor):
            raise HornbookError(f"teacher.family.biases: {attention} has no parameter {bias!r}")
        taps[name] = Tap(
            paths[0] if len(paths) == 1 else paths[part],
            *((part, 3) if len(paths) == 1 else (0, 1)),
            heads=sizes.heads if family.fused == "heads" else 1,
            call=1 if "{layer}" in family.attention else layer,
            bias=f"{attention}.{bias}" if bias else None,
            sequence_first=family.sequence_first,
        )
    return taps


def base_encoder(model: Any) -> Any:
    """Return the encoder inside a model with a head, or the model itself."""
    return getattr(model, model.base_model_prefix, model)


class _AllTapped(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass once all taps have fired."""


class Tapped(nn.Module):
    """A model that gives what its taps see, and stops there unless its logits are wanted too.

    The tensors are caught by forward hooks on the model's own modules, so nothing is computed twice and the
    attention implementation does not matter. The hooks sleep outside this module's own forward pass.
    """

    def __init__(self, model: Any, taps: Mapping[str, Tap], logits: bool = False) -> None:
        """Tap a model.

        Args:
            model: a base encoder (`AutoModel`), or one with a head (`AutoModelForSequenceClassification`).
            taps: where to take which tensor, by the names of the results.
            logits: run to the end and give the head's logits too.

        Raises:
            HornbookError: there is no module at a tap's path.
        """
        super().__init__()
        self.model = model
        self.taps = dict(taps)
        self.logits = logits
        self._caught: dict[str, Tensor] | None = None
        self._calls: Counter[str] = Counter()
        self._length = 0
        for path in dict.fromkeys(tap.path for tap in taps.values()):
            _find(model, path).register_forward_hook(self._catch(path))

    def _catch(self, path: str) -> Any:
        mine = {name: tap for name, tap in self.taps.items() if tap.path == path}

        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if self._caught is None:
                return
            # DeBERTa runs the same projections again, over its embeddings of relative positions: not what is tapped.
            self._calls[path] += 1
            for name, tap in mine.items():
                if tap.call == self._calls[path]:
                    self._caught[name] = self._taken(output, tap)
            if not self.logits and len(self._caught) == len(self.taps):
                raise _AllTapped

        return hook

    def _taken(self, output: Any, tap: Tap) -> Tensor:
        # Some attentions pad their input to a multiple of their window or block.
        taken = tap.view(output).flatten(-2)[:, : self._length]
        if self.logits:  # the model goes on, and Longformer's scales its queries in place
            taken = taken.clone()
        return taken if tap.bias is None else taken + base_encoder(self.model).get_parameter(tap.bias)

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return the tapped tensors by name, and "logits" if wanted, of shape (sequences, labels).

        Args:
            inputs: what the model takes: `input_ids`, `attention_mask` of shape (sequences, length), ...
        """
        caught: dict[str, Tensor] = {}
        self._caught, self._length = caught, inputs["input_ids"].shape[1]
        self._calls.clear()
        try:
            output = self.model(**inputs)
        except _AllTapped:
            return caught
        finally:
            self._caught = None
        if missing := self.taps.keys() - caught.keys():
            raise RuntimeError(f"the model ran to its end without passing its taps {sorted(missing)}")
        return {**caught, LOGITS: output.logits} if self.logits else caught

    def unreached(self, **inputs: Tensor) -> list[nn.Parameter]:
        """Return the parameters that would learn, but on which nothing that is tapped depends.

        Found by one backward pass in evaluation mode; nothing of it stays behind, neither in gradients nor in
        random states.

        Args:
            inputs: what the model takes; by default a few tokens.
        """
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
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
    """Let only what the taps depend on learn, for as long as this context lasts.

    DistributedDataParallel waits for the gradient of every parameter that learns, so what lies above the taps must
    not be among them.
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
    """Return `model` in evaluation mode, with no parameter that learns."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def multiply_in_bfloat16(model: nn.Module) -> None:
    """Cast the linear layers of a frozen model to bfloat16, in place, for use under autocast.

    Autocast keeps the casts of weights that learn for the length of a step, but makes those of frozen weights anew in
    each forward pass. The numbers are the same.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)


def _find(model: Any, path: str) -> nn.Module:
    """Return the module at a path inside the base model, or say how far the path leads and what is there."""
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
