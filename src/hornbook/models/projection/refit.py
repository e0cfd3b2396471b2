"""Refit a student's maps and norms, layer by layer, to what its teacher computes on a sample."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hornbook.machine.progress import progress
from hornbook.models.encode import Batch, model_inputs
from hornbook.models.projection.axes import Axis, Picked, Widths
from hornbook.models.projection.fit import before_norm, fit_map, fit_norm, match_norm
from hornbook.models.projection.stack import Seen, Stack, flat, is_norm, watch
from hornbook.models.projection.structure import Structure

Targets = list[dict[str, Tensor]]
"""What the modules of a layer should give, by their paths in it, for each batch."""


class Refit:
    """Fits a student's modules in the order in which they run, each to its input in the student.

    So later modules make good what earlier ones lack. Queries, keys, values and neurons are fitted to the teacher's;
    maps that write to the hidden states, to the difference there from the teacher's in the projected space; norms to
    the teacher's norms in that space.

    Args:
        teacher: a base encoder.
        stack: the teacher on the sample, at its first layer.
        student: a base encoder, changed in place.
        structure: the teacher's modules.
        basis: directions of the hidden states, shape (teacher's hidden, student's hidden).
        widths: the teacher's.
        layers: the teacher's layer of each of the student's, and what of it is picked.
        batches: the sample.
    """

    def __init__(
        self,
        teacher: Any,
        stack: Stack,
        student: Any,
        structure: Structure,
        basis: Tensor,
        widths: Widths,
        layers: Sequence[tuple[int, Picked]],
        batches: Sequence[Batch],
    ) -> None:
        self._teacher, self._student, self._batches = teacher, student, batches
        self._stack, self._structure = stack, structure
        self._basis, self._widths, self._layers = basis.float(), widths, layers
        self._before_norm = True

    def run(self) -> None:
        """Refit all modules."""
        paths = self._structure.paths[: len(self._layers)]
        with progress("project the teacher", len(self._layers), "layers") as counter:
            self._outside(self._structure.before)
            own = Stack(self._student, [self._student.get_submodule(path) for path in paths], self._batches)
            done = 0
            for number, (layer, picked) in enumerate(self._layers):
                inside = [path for path in self._structure.inside if _has(own.layers[number], path)]
                for skipped in range(done, layer):  # the student's layer stands for these too
                    self._stack.advance(skipped, (), lambda *_: None)
                keep = lambda x, seen, y, n=layer, p=picked: self._targets(n, p, x, seen, y)  # noqa: E731
                targets = self._stack.advance(layer, inside, keep)
                done = layer + 1
                self._fit_layer(own, number, inside, targets)
                own.advance(number, (), lambda *_: None)
                counter.advance(1)
            self._outside(self._structure.after)

    def _targets(self, layer: int, picked: Picked, states: Tensor, seen: Seen, after: Tensor) -> dict[str, Tensor]:
        """Return what the student's modules should give, from what the teacher's gave."""
        s = self._structure
        between = states + seen[s.out][1]
        # Norms stand on the way of the hidden states (BERT), or beside it (pre-norm).
        beside = torch.allclose(between + seen[s.closing][1], after, rtol=1e-3, atol=1e-3)
        self._before_norm = not beside
        written = {s.out: between, s.closing: (between if beside else seen[s.enters][0]) + seen[s.closing][1]}
        found = {}
        for path, (_, output) in seen.items():
            axis = s.axes_in(layer, path)[0]
            if axis is Axis.HIDDEN:
                found[path] = flat(written.get(path, output)) @ self._basis
            else:
                found[path] = flat(output)[:, self._widths.places(axis, output.shape[-1], picked)]
        return found

    def _fit_layer(self, own: Stack, number: int, inside: Sequence[str], targets: Targets) -> None:
        s = self._structure
        for path in inside:
            wanted = [target[path] for target in targets]
            module = own.layers[number].get_submodule(path)
            if is_norm(module):
                fit_norm(module, own.watch(number, [path], lambda _x, seen, p=path: flat(seen[p][1])), wanted)  # type: ignore[misc]
            elif path not in (s.out, s.closing):
                fit_map(module, own.watch(number, [path], lambda _x, seen, p=path: flat(seen[p][0])), wanted)  # type: ignore[misc]
            elif self._before_norm:
                norm = inside[inside.index(path) + 1]
                self._fit_before(own, number, path, norm, [target[norm] for target in targets])
            else:
                given = own.watch(number, {s.out, path}, self._given(path))
                aims = [want - residual for want, (_, residual) in zip(wanted, given, strict=True)]
                fit_map(module, [x for x, _ in given], aims)

    def _given(self, path: str) -> Any:
        """Return a function for what a writing map takes and the hidden states that it is added to, norms beside."""
        out = self._structure.out
        return lambda x, seen: (flat(seen[path][0]), flat(x if path == out else x + seen[out][1]))

    def _fit_before(self, own: Stack, number: int, path: str, norm: str, wanted: Sequence[Tensor]) -> None:
        """Fit a map whose output is added to the hidden states before a norm, to what the norm should give."""
        layer = own.layers[number]
        module, after = layer.get_submodule(path), layer.get_submodule(norm)
        given = own.watch(
            number,
            [path, norm],
            lambda _x, seen: (flat(seen[path][0]), flat(seen[path][1]), *map(flat, seen[norm])),
        )
        match_norm(after, [part[3] for part in given], wanted)
        aims = [
            before_norm(after, total, want) - (total - written)
            for (_, written, total, _), want in zip(given, wanted, strict=True)
        ]
        fit_map(module, [part[0] for part in given], aims)

    def _outside(self, paths: Sequence[str]) -> None:
        """Fit the modules outside the layers that give hidden states, but no pooler."""
        axes = self._structure.axes
        for path in paths:
            if axes[f"{path}.weight"] not in ((Axis.HIDDEN,), (Axis.HIDDEN, Axis.KEPT)):
                continue
            module = self._student.get_submodule(path)
            ours = [_seen(self._student, path, batch) for batch in self._batches]
            wanted = [flat(_seen(self._teacher, path, batch)[1]) @ self._basis for batch in self._batches]
            if is_norm(module):
                fit_norm(module, [flat(output) for _, output in ours], wanted)
            else:
                fit_map(module, [flat(given) for given, _ in ours], wanted)


def _seen(model: Any, path: str, batch: Batch) -> tuple[Tensor, Tensor]:
    _, seen = watch(lambda: model(**model_inputs(model, batch)), model, [path], stop=True)
    return seen[path]


def _has(layer: Any, path: str) -> bool:
    return any(name == path and next(module.parameters(), None) is not None for name, module in layer.named_modules())
