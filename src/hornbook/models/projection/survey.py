"""What a sample tells of a teacher: the directions of its hidden states, what its heads and neurons contribute."""

from collections.abc import Sequence
from typing import Any

import scipy.fft
import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.models.encode import Batch
from hornbook.models.families import Sizes
from hornbook.models.projection.axes import Picked, Widths
from hornbook.models.projection.stack import Stack, flat
from hornbook.models.projection.structure import Structure


class Survey:
    """The second moments of what a teacher computes on a sample.

    Args:
        teacher: a base encoder in evaluation mode.
        structure: its modules.
        batches: the sample.

    Attributes:
        stack: the teacher on the sample, at its first layer.

    Raises:
        HornbookError: the teacher's hidden states are not finite.
    """

    def __init__(self, teacher: Any, structure: Structure, batches: Sequence[Batch]) -> None:
        self._teacher, self._structure = teacher, structure
        self._states: dict[int, Tensor] = {}
        self._heads: dict[int, Tensor] = {}
        self._neurons: dict[int, Tensor] = {}
        layers = [teacher.get_submodule(path) for path in structure.paths]
        handles = []
        for number, layer in enumerate(layers):
            for path, add in ((structure.out, self._add_heads), (structure.closing, self._add_neurons)):
                hook = lambda _m, inputs, _o, n=number, a=add: a(n, inputs[0])  # noqa: E731
                handles.append(layer.get_submodule(path).register_forward_hook(hook))
        try:
            self.stack = Stack(teacher, layers, batches, self._add_states)
        finally:
            for handle in handles:
                handle.remove()
        for states in self.stack.last:
            self._add_states(len(layers), states)
        for number, moment in self._states.items():
            if not torch.isfinite(moment).all():
                raise HornbookError(
                    f"student.init: the teacher's hidden states are not finite before its layer {number + 1}, so it "
                    "cannot be projected; is it damaged, or was it trained in half precision?"
                    if number < len(layers)
                    else "student.init: the teacher's last hidden states are not finite, so it cannot be projected"
                )

    def moment(self) -> Tensor:
        """Return the second moment of the hidden states, each layer with the same weight; (hidden, hidden)."""
        return torch.stack([moment / moment.trace() for moment in self._states.values()]).sum(dim=0)

    def pick(self, layers: Sequence[int], sizes: Sizes, widths: Widths) -> list[Picked]:
        """Return the heads and neurons of layers that contribute most to the hidden states.

        A head counts by the energy of its part of the attention's output, a neuron by that of its part of the
        feed-forward output (by activations alone, as in Minitron, Muralidharan et al. 2024). Heads that share a key
        stay together. Where a parameter beside the layers has a number for each head (MPNet's positions), all layers
        take the same heads.

        Args:
            layers: the teacher's, from 0.
            sizes: the student's.
            widths: the teacher's.

        Returns:
            those that each of the student's layers takes.
        """
        by_head = torch.stack([self._energy(layer, widths) for layer in layers])
        if self._structure.heads_beside_layers:
            by_head = (by_head / by_head.sum(dim=1, keepdim=True)).mean(dim=0).expand_as(by_head)
        shared = widths.sizes.heads // widths.keys
        picked = []
        for layer, energy in zip(layers, by_head, strict=True):
            groups = energy.view(-1, shared).sum(dim=1).topk(sizes.heads // shared).indices.sort().values
            heads = (groups[:, None] * shared + torch.arange(shared)).flatten()
            of_neurons = self._neurons[layer] * self._weight(layer, self._structure.closing).square().sum(dim=0)
            picked.append(Picked(heads, of_neurons.topk(sizes.feed_forward).indices.sort().values))
        return picked

    def _energy(self, layer: int, widths: Widths) -> Tensor:
        """Return the energy of each head's part of the attention's output."""
        out, heads = self._weight(layer, self._structure.out), widths.sizes.heads
        return torch.einsum(
            "haha->h", ((out.T @ out) * self._heads[layer]).view(heads, widths.head, heads, widths.head)
        )

    def _weight(self, layer: int, path: str) -> Tensor:
        weight: Tensor = self._teacher.get_submodule(f"{self._structure.paths[layer]}.{path}").weight
        return weight.detach().double()

    def _add_states(self, number: int, states: Tensor) -> None:
        rows = flat(states)
        self._states[number] = self._states.get(number, 0) + (rows.T @ rows).double()

    def _add_heads(self, number: int, given: Tensor) -> None:
        rows = flat(given)
        self._heads[number] = self._heads.get(number, 0) + (rows.T @ rows).double()

    def _add_neurons(self, number: int, given: Tensor) -> None:
        self._neurons[number] = self._neurons.get(number, 0) + flat(given).double().square().sum(dim=0)


def directions(moment: Tensor, wanted: int) -> Tensor:
    """Return the principal directions of hidden states, as the coordinates of a narrower student.

    They are rotated so that the student's coordinates add up to 0 and have about the same energy: a layer norm, which
    subtracts the mean over coordinates and divides by their norm, then does to the student's states what it does to
    the teacher's (SliceGPT, Ashkboos et al. 2024, section 3). So there is one direction fewer than coordinates. The
    largest entry of each direction is positive.

    Args:
        moment: second moment of the hidden states, shape (hidden, hidden).
        wanted: the student's width.

    Returns:
        shape (hidden, wanted); the identity where the width stays.
    """
    if wanted == len(moment):
        return torch.eye(wanted, dtype=torch.float64)
    top = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, : wanted - 1]
    top = top * torch.sign(top.gather(0, top.abs().argmax(dim=0, keepdim=True)))
    # The cosine transform's first wave is constant, the others add up to 0 and spread over all coordinates.
    waves = torch.from_numpy(scipy.fft.idct(torch.eye(wanted, dtype=torch.float64).numpy(), norm="ortho", axis=0))
    basis: Tensor = top @ waves[:, 1:].T
    return basis
