"""Checks of an encoder on a few tokens, before anything expensive runs.

Each check builds a small model from the configuration alone (two layers, a small vocabulary, random weights) in a
fraction of a second.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError, one_line
from hornbook.models.encode import Batch, model_inputs
from hornbook.models.families import FAMILIES, defaults_of, key_widths, sizes_of
from hornbook.models.taps import PROJECTIONS, OutputTap, Tap, Tapped, Taps, base_encoder, projection_taps
from hornbook.recipe import FamilyConfig

_LAYERS, _ROWS, _WINDOW = 2, 64, 8
_CHANGED = (0, 1)
_SAME = 1e-5  # rounding changes numbers by some 1e-7, a real change by 1e-3 or more
_MOST_BY_PADDING = 0.01  # of the difference between the outputs for two texts
# Endings of settings: of tables with thousands of rows, and of ids of special tokens.
_ROW_COUNTS, _TOKENS = "vocab_size", "_token_id"
_OF_SIZE = re.compile(r"head_|key_value|window|group|block|kernel|dim$|_dim_|ratio")


def max_positions(config: Any) -> int | None:
    """Return the number of tokens that a model has positions for; None if its configuration does not state it."""
    most = getattr(config, "max_position_embeddings", None)
    if most is None or most < 1:
        return None
    known = config.model_type in FAMILIES
    late = defaults_of(config).late_positions if known else _numbers_after_padding(_Settings.of(config))
    return int(most) - (int(config.pad_token_id) + 1 if late else 0)


@dataclass(frozen=True)
class _Settings:
    """A configuration and a family, compared by content."""

    said: str
    config: Any = field(compare=False)
    family: FamilyConfig | None = field(compare=False)

    @classmethod
    def of(cls, config: Any, family: FamilyConfig | None = None) -> "_Settings":
        said = [type(config).__name__, config.to_json_string(use_diff=False), family and family.model_dump_json()]
        return cls(repr(said), config, family)


@lru_cache(maxsize=64)
def _numbers_after_padding(settings: _Settings) -> bool:
    """Return whether positions are numbered from the padding token's id + 1, as in RoBERTa and similar models."""
    try:
        with torch.device("meta"):
            model = random_encoder(_small(settings.config, None))
    except Exception:  # a model's own code raises anything; another check reports it
        return False
    tables = [m for name, m in model.named_modules() if name.endswith("position_embeddings")]
    return any(getattr(table, "padding_idx", None) is not None for table in tables)


def embedding_name(config: Any) -> str | None:
    """Return the name of the token embeddings' weight inside the base model; None if it is unknown."""
    return _embedding_name(_Settings.of(config))


@lru_cache(maxsize=64)
def _embedding_name(settings: _Settings) -> str | None:
    try:
        with torch.device("meta"):
            model = random_encoder(_small(settings.config, None))
        weight = model.get_input_embeddings().weight
    except Exception:  # as above
        return None
    return next((name for name, parameter in model.named_parameters() if parameter is weight), None)


def check_settings(config: Any) -> None:
    """Check that a model with these settings can be made at its full depth, without weights.

    Args:
        config: the model's Hugging Face configuration.

    Raises:
        HornbookError: it cannot; the message names the settings that a student inherits from its teacher.
    """
    with _explained(config, "cannot be made"), torch.device("meta"):
        random_encoder(config)


def check_padding(config: Any) -> None:
    """Check that padding does not change a classifier's outputs for a text; families in the table pass untried.

    Args:
        config: the model's Hugging Face configuration.

    Raises:
        HornbookError: it does, or the family has no classifier.
    """
    if config.model_type not in FAMILIES:
        _check_padding(_Settings.of(config))


@lru_cache(maxsize=64)
def _check_padding(settings: _Settings) -> None:
    config = settings.config
    model, batch = _classifier(config, None), _batch(_small(config, None))
    with torch.inference_mode(), _explained(config, "cannot read a few tokens"):
        together = model(**model_inputs(model, batch)).logits
        alone = model(**model_inputs(model, {name: t[1:, :2] for name, t in batch.items()})).logits
    moved = (together[1] - alone[0]).abs().max()
    if moved > _MOST_BY_PADDING * (together[0] - together[1]).abs().max() + _SAME:
        raise HornbookError(
            f"{config.model_type} models cannot be used here: their outputs for a text depend on the padding beside "
            "it, so a prediction would depend on the other texts in its batch; take an encoder of another family"
        )


def check_taps(config: Any, family: FamilyConfig | None = None) -> None:
    """Check that the projection taps of a model are its attention's queries, keys and values.

    If a token's query is changed, only that token's own output may change. If its key or value is changed, outputs of
    other tokens must change. Where all values are equal, or all queries are 0, keys must make no difference.

    Args:
        config: the model's Hugging Face configuration.
        family: the model's family, for one that is not in the table.

    Raises:
        HornbookError: a module is missing, or its output has another shape or role.
    """
    _check_taps(_Settings.of(config, family))


@lru_cache(maxsize=64)
def _check_taps(settings: _Settings) -> None:
    config, family = settings.config, settings.family
    if config.is_encoder_decoder:
        raise HornbookError(
            f"{config.model_type} models have an encoder and a decoder; take a model of an encoder alone"
        )
    small = _small(config, family)
    model = base_encoder(_classifier(config, family))
    batch = model_inputs(model, _batch(small))
    taps = projection_taps(model.config, sizes_of(small, family).layers, family)
    shape = tuple(batch["input_ids"].shape)
    queries, keys = key_widths(small, family)
    with torch.inference_mode(), _explained(config, "cannot read a few tokens"):
        for name, tensor in Tapped(model, taps)(**batch).items():
            expected = (*shape, queries if name == "query" else keys)
            if tuple(tensor.shape) != expected:
                raise HornbookError(
                    f"teacher.family: {taps[name].path} gives {name} as a tensor of shape {tuple(tensor.shape)}, but "
                    f"for {shape[0]} sequences of {shape[1]} tokens it must be {expected}"
                    f"{_advice(tuple(tensor.shape), shape)}"
                )
        found = _Changes(model, taps, batch)
    if found.query != {_CHANGED}:
        raise HornbookError(
            f"teacher.family: what {_where(taps['query'])} gives is not the attention's query alone: "
            + ("it changes nothing" if not found.query else "a change in one token's changes other tokens too")
            + "; see the order of projections, and fused"
        )
    for name, changed in (("key", found.key), ("value", found.value)):
        if not changed - {_CHANGED}:
            raise HornbookError(
                f"teacher.family: what {_where(taps[name])} gives is not the attention's {name}: a change in one "
                "token's changes no other token; see the order of projections, and fused"
            )
    if found.mixed:
        raise HornbookError(
            f"teacher.family: what {_where(taps['key'])} and {_where(taps['value'])} give are not the attention's "
            "keys and values: where all values are alike, keys still make a difference; see the order of projections"
        )


def check_attention(config: Any, family: FamilyConfig | None = None) -> None:
    """Check that a model's attention is softmax(q k' / sqrt(width of a head)) and nothing else.

    Args:
        config: the model's Hugging Face configuration.
        family: the model's family, for one that is not in the table.

    Raises:
        HornbookError: it is something else (rotated queries, a term for relative positions, local attention), several
            queries share a key, or the model does not return its attention.
    """
    _check_attention(_Settings.of(config, family))


@lru_cache(maxsize=64)
def _check_attention(settings: _Settings) -> None:
    small = _small(settings.config, settings.family)
    sizes = sizes_of(small, settings.family)
    queries, keys = key_widths(small, settings.family)
    if queries != keys:
        raise HornbookError(
            f"distil.objectives: attention: several queries share a key in this {small.model_type} model; "
            "take relations"
        )
    with _explained(settings.config, "does not show its attention"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small._attn_implementation = "eager"  # the others do not return it
        model = random_encoder(small).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # biases that begin at 0 must count too
                scale = parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.2
                parameter.add_(scale * torch.randn_like(parameter))
        taps: Taps = {
            **projection_taps(small, sizes.layers, settings.family),
            "attention": OutputTap("attentions", sizes.layers - 1),
        }
        batch = model_inputs(model, _batch(small))
        with torch.inference_mode():
            found = Tapped(model, taps)(**batch)
    query, key = (found[name].unflatten(-1, (sizes.heads, -1)).transpose(1, 2) for name in PROJECTIONS[:2])
    products = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    mask = batch["attention_mask"].bool()
    expected = products.masked_fill(~mask[:, None, None], float("-inf")).softmax(dim=-1)
    given = found["attention"]
    if given.shape != expected.shape or (given - expected).abs().amax(dim=(1, 3))[mask].max() > _SAME:
        raise HornbookError(
            f"distil.objectives: attention: the attention of {small.model_type} models depends on more than queries "
            "and keys (positions, or a window); take relations"
        )


def _where(tap: Tap) -> str:
    return tap.path if tap.parts == 1 else f"part {tap.part + 1} of {tap.path}"


def _advice(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if found[1::-1] == wanted or (found[1] == wanted[0] and found[0] > wanted[1]):
        return "; set sequence_first: true"
    return "; name other modules, or take an encoder of another family"


class _Changes:
    """The tokens, as (sequence, token) from 0, whose outputs change with a tapped tensor.

    Args:
        model: an encoder.
        taps: its projections, by name.
        batch: its inputs.

    Attributes:
        query: with the query of one token, `_CHANGED`.
        key: with its key.
        value: with its value.
        mixed: whether keys make a difference where they cannot.
    """

    def __init__(self, model: Any, taps: Mapping[str, Tap], batch: Batch) -> None:
        self._model, self._taps, self._batch = model, taps, batch
        draw = torch.Generator().manual_seed(1)
        self._noise = torch.randn(1 << 16, generator=draw)
        plain = self._run({})
        self.query, self.key, self.value = (self._differ(plain, self._run({name: self._one})) for name in PROJECTIONS)
        alike = self._differ(self._run({"value": self._alike}), self._run({"value": self._alike, "key": self._all}))
        # Some rotate their values too, others attend to positions by keys alone: one of both is enough.
        at_0 = self._differ(self._run({"query": self._zero}), self._run({"query": self._zero, "key": self._all}))
        self.mixed = bool(alike and at_0)

    def _one(self, tensor: Tensor) -> None:
        tensor[_CHANGED] += 5 * self._noise[: tensor[_CHANGED].numel()].view(tensor[_CHANGED].shape)

    def _all(self, tensor: Tensor) -> None:
        tensor += 5 * self._noise[: tensor[0].numel()].view(tensor[0].shape)

    def _alike(self, tensor: Tensor) -> None:
        tensor[:] = self._noise[: tensor[0, 0].numel()].view(tensor[0, 0].shape)

    def _zero(self, tensor: Tensor) -> None:
        tensor.zero_()

    def _differ(self, a: Tensor, b: Tensor) -> set[tuple[int, int]]:
        moved = (a - b).abs().amax(dim=-1) > _SAME
        moved &= self._batch["attention_mask"].bool()
        return {(sequence, token) for sequence, token in moved.nonzero().tolist()}

    def _run(self, changes: Mapping[str, Any]) -> Tensor:
        handles = []
        for path in {self._taps[name].path for name in changes}:
            mine = {change: self._taps[name] for name, change in changes.items() if self._taps[name].path == path}
            handles.append(base_encoder(self._model).get_submodule(path).register_forward_hook(_changing(mine)))
        try:
            output: Tensor = self._model(**self._batch)[0]
        finally:
            for handle in handles:
                handle.remove()
        return output


def _changing(mine: Mapping[Any, Tap]) -> Any:
    calls = 0

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        changed = output.clone()
        for change, tap in mine.items():
            if tap.call == calls:
                change(tap.view(changed))
        return changed

    return hook


def _small(config: Any, family: FamilyConfig | None) -> Any:
    """Return a copy of a configuration with few layers and rows but the same widths."""
    small = copy.deepcopy(config)
    known = family or FAMILIES.get(str(config.model_type))
    layers, feed_forward = ((known or _ANY).layers, known and known.feed_forward)
    if feed_forward and isinstance(getattr(config, feed_forward, None), int):
        setattr(small, feed_forward, min(getattr(config, feed_forward), _ROWS))
    depth = getattr(config, layers, None)
    if isinstance(depth, int):
        with suppress(NotImplementedError):  # Funnel names its layers by blocks
            setattr(small, layers, min(depth, _LAYERS))
        if isinstance(kinds := getattr(config, "layer_types", None), list):
            small.layer_types = kinds[-_LAYERS:]
    if windows := getattr(config, "attention_window", None):
        windows = windows[-_LAYERS:] if isinstance(windows, list) else [windows] * _LAYERS
        small.attention_window = [min(window, _WINDOW) for window in windows]
    ids: dict[int, int] = {}
    for name, value in config.to_dict().items():
        if name.endswith(_ROW_COUNTS) and isinstance(value, int):
            setattr(small, name, min(value, _ROWS))
        if name.endswith(_TOKENS) and isinstance(value, int):
            # Equal ids stay equal, others stay different.
            setattr(small, name, ids.setdefault(value, value if value < _ROWS // 4 else _ROWS // 2 + len(ids)))
    return small


_ANY = FamilyConfig(attention="{layer}", projections=("all",))


def _classifier(config: Any, family: FamilyConfig | None) -> Any:
    from transformers import AutoModelForSequenceClassification

    small = _small(config, family)
    small.num_labels = 3
    try:
        AutoModelForSequenceClassification._model_mapping[type(config)]
    except KeyError:
        raise HornbookError(
            f"{config.model_type} models cannot be used here: transformers has no classifier of that family"
        ) from None
    with torch.random.fork_rng(devices=[]), _explained(config, "cannot be made"):
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(small, trust_remote_code=False).eval()  # type: ignore[no-untyped-call]


def random_encoder(config: Any) -> Any:
    """Return a base encoder of this configuration with random weights, by torch's random state and default device."""
    from transformers import AutoModel

    return AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]


def _batch(small: Any) -> Batch:
    """Return two sequences, of four and two tokens, with the model's own end token."""
    pad = getattr(small, "pad_token_id", None) or 0
    end = getattr(small, "eos_token_id", None)
    end = end if isinstance(end, int) and end != pad else 20
    ids = torch.tensor([[17, 18, 19, end], [21, end, pad, pad]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@contextmanager
def _explained(config: Any, what: str) -> Iterator[None]:
    """Turn any error of a model's own code into one line."""
    try:
        yield
    except HornbookError:
        raise
    except Exception as error:
        said = one_line(error, 200)
        raise HornbookError(
            f"a {config.model_type} model of these settings {what} ({type(error).__name__}: {said})"
            f"{_inherited(config)}"
        ) from None


def _inherited(config: Any) -> str:
    """Return the settings, beyond the usual sizes, that must fit them."""
    odd = [
        f"{name} {value}"
        for name, value in config.to_dict().items()
        if isinstance(value, int | list) and not isinstance(value, bool) and _OF_SIZE.search(name)
    ]
    return f"; which of its other sizes does not fit? {', '.join(odd[:6])}" if odd else ""
