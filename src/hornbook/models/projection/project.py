"""A student that begins as a projection of its teacher."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import scipy.fft
import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.models.encode import Batch, model_inputs
from hornbook.models.families import sizes_of
from hornbook.models.projection.axes import Axis, Picked, Widths, axes_of, layer_prefix, reduced
from hornbook.models.projection.fit import fit_map, fit_norm
from hornbook.models.projection.watch import Seen, Stack, watch
from hornbook.recipe import FamilyConfig


@torch.no_grad()
def project(
    teacher: Any,
    config: Any,
    picked_layers: Sequence[int],
    batches: Sequence[Batch],
    family: FamilyConfig | None = None,
    ends=None,
    level: int = 2,
) -> Any:
    """Return a student that computes what its teacher computes, as far as its widths allow."""
    own, sizes = sizes_of(teacher.config, family), sizes_of(config, family)
    student = _encoder(config).eval()
    prefix = layer_prefix(config, family)
    outside, inside = _called(teacher, prefix, batches[0])
    widths = Widths.of(teacher.config, family)
    axes = axes_of(
        teacher.config,
        [f"{prefix}0.{name}" for name in inside if _is_map(teacher.get_submodule(f"{prefix}0.{name}"))],
        family,
    )
    survey = _Survey(teacher, prefix, inside, axes, batches)
    basis = directions(survey.states, sizes.hidden)
    picked = [survey.pick(layer, sizes, widths) for layer in picked_layers]
    state = {}
    for name, parameter in student.named_parameters():
        layer = int(name.removeprefix(prefix).split(".")[0]) if prefix and name.startswith(prefix) else None
        source = (
            name if layer is None else f"{prefix}{picked_layers[layer]}.{name.removeprefix(prefix).split('.', 1)[1]}"
        )
        value = reduced(
            teacher.get_parameter(source), axes[source], widths, basis, None if layer is None else picked[layer]
        )
        if (
            axes[source] == (Axis.HIDDEN,)
            and _is_norm(teacher.get_submodule(source.rpartition(".")[0]))
            and name.endswith("weight")
        ):
            gain = teacher.get_parameter(source).double()
            value = torch.full_like(value, float(gain.square().mean().sqrt()) * math.sqrt(own.hidden / sizes.hidden))
        if value.shape != parameter.shape:
            raise HornbookError(
                f"student.init: the teacher's {source} of shape {tuple(teacher.get_parameter(source).shape)} cannot be projected"
            )
        state[name] = value.float()
    student.load_state_dict(state, strict=False)
    if level > 1:
        _Refit(
            teacher, student, survey.stack, prefix, basis.float(), picked, widths, axes, outside, batches, ends
        ).run()
    return student


ROUNDS = 1
MODE, UNIT = "sd", 1


class _Survey:
    def __init__(self, teacher, prefix, inside, axes, batches):
        h = sizes_of(teacher.config).hidden
        layers = list(teacher.get_submodule(prefix.rstrip(".")))
        self.moments = torch.zeros(len(layers) + 1, h, h, dtype=torch.float64)
        self.teacher, self.prefix, self.inside, self.axes = teacher, prefix, inside, axes
        maps = [n for n in inside if _is_map(layers[0].get_submodule(n))]
        full = lambda n: axes[f"{prefix}0.{n}.weight"]
        self.out = next(n for n in maps if full(n)[1] is Axis.HEADS)
        self.closing = next(n for n in maps if full(n)[1] is Axis.FEED_FORWARD)
        self.heads = [torch.zeros(()) for _ in layers]
        self.neurons = [torch.zeros(()) for _ in layers]
        hooks = []
        for i, layer in enumerate(layers):

            def hook(m, a, o, i=i):
                x = flat(a[0])
                self.heads[i] = self.heads[i] + (x.T @ x).double()

            def hook2(m, a, o, i=i):
                x = flat(a[0])
                self.neurons[i] = self.neurons[i] + x.square().sum(0).double()

            hooks += [
                layer.get_submodule(self.out).register_forward_hook(hook),
                layer.get_submodule(self.closing).register_forward_hook(hook2),
            ]
        self.stack = Stack(teacher, layers, batches, self._add)
        for hh in hooks:
            hh.remove()
        for s in self.stack.last:
            self._add(len(layers), s)
        self.states = sum(m / m.trace() for m in self.moments)

    def _add(self, number, states):
        x = flat(states)
        self.moments[number] += (x.T @ x).double()

    def pick(self, layer, sizes, widths):
        module = self.stack.layers[layer]
        w = module.get_submodule(self.out).weight.double()
        c = self.heads[layer]
        n = widths.sizes.heads
        score = torch.stack(
            [
                (w[:, s] @ c[s, s] @ w[:, s].T).trace()
                for s in (slice(k * widths.head, (k + 1) * widths.head) for k in range(n))
            ]
        )
        shared = n // widths.keys
        groups = score.view(-1, shared).sum(1)
        top = groups.topk(sizes.heads // shared).indices.sort().values
        heads = (top[:, None] * shared + torch.arange(shared)).flatten()
        v = module.get_submodule(self.closing).weight.double()
        use = self.neurons[layer] * v.square().sum(0)
        return Picked(layer, heads, use.topk(sizes.feed_forward).indices.sort().values)


def directions(moment: Tensor, wanted: int) -> Tensor:
    """Return a basis of the hidden states' principal directions, shape (hidden, wanted).

    The sum over a student's coordinates is 0 for all states, and each coordinate has about the same energy: a layer
    norm, which subtracts the mean over coordinates and divides by their norm, then changes the states as the teacher's
    does (SliceGPT, Ashkboos et al. 2024, section 3). So one direction fewer than the width is kept.
    """
    if wanted == len(moment):
        return torch.eye(wanted, dtype=torch.float64)
    _, vectors = torch.linalg.eigh(moment)
    top = vectors.flip(1)[:, : wanted - 1]
    top = top * torch.sign(top.gather(0, top.abs().argmax(0, keepdim=True)))
    waves = torch.from_numpy(scipy.fft.idct(torch.eye(wanted, dtype=torch.float64).numpy(), norm="ortho", axis=0))
    return top @ waves[:, 1:].T


class _Refit:
    def __init__(self, teacher, student, stack, prefix, basis, picked, widths, axes, outside, batches, ends):
        self.teacher, self.student, self.prefix, self.basis = teacher, student, prefix, basis
        self.stack, self.picked, self.widths, self.axes, self.outside, self.batches = (
            stack,
            picked,
            widths,
            axes,
            outside,
            batches,
        )
        n = len(stack.layers)
        self.ends = ends or [round((j + 1) * n / len(picked)) - 1 for j in range(len(picked))]
        layer = stack.layers[0]
        _, self.inside = _called(student, prefix, batches[0])

    def run(self):
        front, back = self.outside
        self._outside(front)
        layers = list(self.student.get_submodule(self.prefix.rstrip(".")))
        self.own = Stack(self.student, layers, self.batches, lambda *_: None)
        done = 0
        for j, (pick, end) in enumerate(zip(self.picked, self.ends, strict=True)):
            names = [n for n in self.inside if _has(layers[j], n)]
            targets = None
            assert done <= pick.layer <= end, (done, pick.layer, end)
            for i in range(done, end + 1):
                at = names if i in (pick.layer, end) else []
                kept = self.stack.advance(i, at, lambda x, seen, y, i=i: self._targets(x, seen, y, i, pick))
                if i == pick.layer:
                    targets = kept
                if i == end and i != pick.layer:
                    for t, k in zip(targets, kept, strict=True):
                        last = [n for n in names if n in k and self._axes(i, n)[0] is Axis.HIDDEN][-1]
                        writer = self._closing(i, names)
                        t[writer] = k[writer]
                        if names.index(last) > names.index(writer):
                            t[last] = k[last]
            done = end + 1
            self._fit_layer(j, layers[j], names, targets)
            self.own.advance(j, [], lambda *_: None)
        self._outside(back)

    def _axes(self, i, n):
        return self.axes[f"{self.prefix}{i}.{n}.weight"]

    def _closing(self, i, names):
        return next(
            n
            for n in names
            if _is_map(self.stack.layers[i].get_submodule(n)) and self._axes(i, n)[1] is Axis.FEED_FORWARD
        )

    def _out(self, i, names):
        return next(
            n for n in names if _is_map(self.stack.layers[i].get_submodule(n)) and self._axes(i, n)[1] is Axis.HEADS
        )

    def _targets(self, x, seen: Seen, y, i, pick):
        if not seen:
            return {}
        out, closing = self._out(i, seen), self._closing(i, seen)
        z1 = x + seen[out][1]
        pre = torch.allclose(z1 + seen[closing][1], y, rtol=1e-4, atol=1e-4)
        self.pre = pre
        first = next(n for n in seen if self._axes(i, n)[0] is Axis.FEED_FORWARD)
        mid = z1 if pre else seen[first][0]
        found = {}
        for n, (_, o) in seen.items():
            axes = self._axes(i, n)
            if n == out:
                o = z1
            if n == closing:
                o = mid + o
            if axes[0] is Axis.HIDDEN:
                found[n] = flat(o) @ self.basis
            else:
                p = pick
                found[n] = flat(o)[:, self.widths.places(axes[0], o.shape[-1], p)]
        return found

    def _fit_layer(self, j, layer, names, targets):
        out, closing = (
            self._out(0 if j == 0 else self.picked[j].layer, names),
            self._closing(self.picked[j].layer, names),
        )
        first = next(n for n in names if self._axes(self.picked[j].layer, n)[0] is Axis.FEED_FORWARD)
        inputs_of = {}
        for n in names:
            if n not in targets[0]:
                continue
            module = layer.get_submodule(n)
            if _is_norm(module):
                outs = self.own.watch(j, [n], lambda x, seen: flat(seen[n][1]))
                fit_norm(module, outs, [t[n] for t in targets])
                continue
            want = [t[n] for t in targets]
            if n in (out, closing) and not self.pre:
                norm = names[names.index(n) + 1]
                self._fit_before_norm(j, layer, n, norm, out, first, [t[norm] for t in targets])
                continue
            if n == out:
                got = self.own.watch(j, [n], lambda x, seen: (flat(seen[n][0]), flat(x)))
            elif n == closing:
                got = self.own.watch(
                    j,
                    [out, first, n],
                    lambda x, seen: (flat(seen[n][0]), flat(x + seen[out][1] if self.pre else seen[first][0])),
                )
            else:
                got = self.own.watch(j, [n], lambda x, seen: (flat(seen[n][0]), None))
            if got[0][1] is not None:
                want = [w - g[1] for w, g in zip(want, got, strict=True)]
            fit_map(module, [g[0] for g in got], want)

    def _fit_before_norm(self, j, layer, n, norm, out, first, want):
        module, after = layer.get_submodule(n), layer.get_submodule(norm)
        for _ in range(ROUNDS):
            got = self.own.watch(
                j,
                [first, n, norm] if n != out else [n, norm],
                lambda x, seen: (
                    flat(seen[n][0]),
                    flat(seen[norm][0]),
                    flat(seen[norm][1]),
                    flat(x if n == out else seen[first][0]),
                ),
            )
            o, y = torch.cat([g[2] for g in got]), torch.cat(want)
            if MODE == "ls":
                fit_norm(after, [g[2] for g in got], want)
            else:
                slope = y.std(0) / o.std(0)
                after.weight *= slope
                after.bias.copy_((after.bias - o.mean(0)) * slope + y.mean(0))
            gain, bias = after.weight, after.bias
            aims = []
            for (x, z, _, r), y in zip(got, want, strict=True):
                m = (y - bias) / gain
                m = m - m.mean(-1, keepdim=True)
                if UNIT:
                    m = m / m.std(-1, keepdim=True, correction=0)
                mu = z.mean(-1, keepdim=True)
                scale = ((z - mu) * m).mean(-1, keepdim=True) if UNIT == 2 else z.std(-1, keepdim=True, correction=0)
                aims.append(m * scale + mu - r)
            fit_map(module, [g[0] for g in got], aims)

    def _outside(self, names):
        for n in names:
            module = self.student.get_submodule(n)
            pairs = []
            for b in self.batches:
                (_, theirs), (_, ours) = (
                    watch(lambda: m(**model_inputs(m, b)), m, [n], stop=True) for m in (self.teacher, self.student)
                )
                pairs.append((flat(ours[n][0]), flat(ours[n][1]), flat(theirs[n][1]) @ self.basis))
            ins, outs, want = zip(*pairs, strict=True)
            if _is_norm(module):
                fit_norm(module, outs, want)
            else:
                fit_map(module, ins, want)


def _called(model, prefix, batch):
    """Return names of maps and norms before, after the layers, and within a layer in order of calls."""
    leaves = [n for n, m in model.named_modules() if _is_map(m) or _is_norm(m)]
    _, seen = watch(lambda: model(**model_inputs(model, batch)), model, leaves)
    order = list(seen)
    at = [n.startswith(prefix) for n in order]
    first, last = at.index(True), len(at) - 1 - at[::-1].index(True)
    d = model.get_submodule(prefix + "0")
    wide = lambda n: model.get_submodule(n).weight.shape[0] == seen[order[first]][0].shape[-1]
    inside = list(dict.fromkeys(n.removeprefix(prefix).split(".", 1)[1] for n, a in zip(order, at) if a))
    # order from layer 1.. if layer 0 lacks a norm
    per = [
        [n.removeprefix(prefix).split(".", 1)[1] for n in order if n.startswith(f"{prefix}{k}.")]
        for k in range(len(model.get_submodule(prefix.rstrip("."))))
    ]
    inside = max(per, key=len)
    return (
        [n for n in order[:first] if wide(n)],
        [n for n in order[last + 1 :] if wide(n) and "pooler" not in n],
    ), inside


def flat(x):
    return x.reshape(-1, x.shape[-1])


def _is_map(m):
    return isinstance(getattr(m, "weight", None), Tensor) and m.weight.dim() == 2 and not isinstance(m, nn.Embedding)


def _is_norm(m):
    return isinstance(getattr(m, "weight", None), Tensor) and m.weight.dim() == 1


def _has(layer, n):
    try:
        return _is_map(layer.get_submodule(n)) or _is_norm(layer.get_submodule(n))
    except AttributeError:
        return False


def _encoder(config: Any) -> Any:
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModel.from_config(config, trust_remote_code=False)
