"""The table of encoder families: the paths of their projections, the names of their sizes, and their peculiarities.

A new family is a row of `FAMILIES`, and a row of `FAMILY_DEFAULTS` if it differs from BERT. Settings that any family
may have are listed below `FAMILY_DEFAULTS`.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hornbook.errors import HornbookError
from hornbook.recipe import FamilyConfig
from hornbook.store import result_config

# Fields of FamilyConfig added after version 0.1: content keys hold them only where they are set.
_LATER = ("fused", "biases", "sequence_first")

_HIDDEN_AND_ATTENTION = ("hidden_dropout_prob", "attention_probs_dropout_prob")
_BERT = FamilyConfig(
    attention="encoder.layer.{layer}.attention.self",
    projections=("query", "key", "value"),
    dropouts=(*_HIDDEN_AND_ATTENTION, "classifier_dropout"),
)
# Like BERT, but the dropout of the classifier has no name of its own, or another one.
_LIKE_BERT = _BERT.model_copy(update={"dropouts": _HIDDEN_AND_ATTENTION})
_NAMED_HEAD = _BERT.model_copy(update={"dropouts": (*_HIDDEN_AND_ATTENTION, "classifier_dropout_prob")})
_ROTARY = FamilyConfig(
    attention="layers.{layer}.self_attn",
    projections=("q_proj", "k_proj", "v_proj"),
    dropouts=(*_HIDDEN_AND_ATTENTION, "classifier_dropout"),
)

FAMILIES: dict[str, FamilyConfig] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "ernie": _BERT,
    "big_bird": _BERT,
    "data2vec-text": _BERT,
    "roberta-prelayernorm": _BERT,
    "xlm-roberta-xl": _BERT,
    "megatron-bert": _LIKE_BERT,
    # Tapped before queries and keys are rotated by position, as in all families that rotate them.
    "roformer": _LIKE_BERT,
    "rembert": _NAMED_HEAD,
    # One layer that runs many times.
    "albert": _NAMED_HEAD.model_copy(update={"attention": "encoder.albert_layer_groups.0.albert_layers.0.attention"}),
    "mpnet": FamilyConfig(
        attention="encoder.layer.{layer}.attention.attn",
        projections=("q", "k", "v"),
        dropouts=_HIDDEN_AND_ATTENTION,
    ),
    # Tokens attend to nearby tokens and the first one; relations are between all tokens.
    "longformer": _LIKE_BERT.model_copy(update={"sequence_first": True}),
    "nomic_bert": _ROTARY,
    "gte": _ROTARY,
    "eurobert": _ROTARY.model_copy(update={"dropouts": ("attention_dropout",)}),
    "distilbert": FamilyConfig(
        attention="transformer.layer.{layer}.attention",
        projections=("q_lin", "k_lin", "v_lin"),
        layers="n_layers",
        hidden="dim",
        heads="n_heads",
        feed_forward="hidden_dim",
        dropouts=("dropout", "attention_dropout", "seq_classif_dropout"),
    ),
    # DeBERTa v3 has this type too. Its attention adds terms for relative positions; the tapped projections of the
    # layer's input do not depend on them.
    "deberta-v2": FamilyConfig(
        attention="encoder.layer.{layer}.attention.self",
        projections=("query_proj", "key_proj", "value_proj"),
        dropouts=_HIDDEN_AND_ATTENTION,
    ),
    "deberta": FamilyConfig(
        attention="encoder.layer.{layer}.attention.self",
        projections=("in_proj",),
        fused="heads",
        biases=("q_bias", "", "v_bias"),
        dropouts=_HIDDEN_AND_ATTENTION,
    ),
    "modernbert": FamilyConfig(
        attention="layers.{layer}.attn",
        projections=("Wqkv",),
        dropouts=("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"),
    ),
}


@dataclass(frozen=True)
class FamilyDefaults:
    """Properties that a family's models share, apart from the paths of their modules.

    Attributes:
        feed_forward: the width of the feed-forward layers as a multiple of the hidden states' width.
        rotary: whether queries and keys are rotated by position, which needs heads of an even width.
        late_positions: whether positions are numbered from the padding token's id + 1.
        settings: settings that every configuration of the family gets.
        global_first: whether attention is local, except that the first token attends to all and all attend to it, as
            in the family's classifiers.
        teacher_layers: the best layer to distil relations from, by the teacher's (layers, hidden); default: the last.
    """

    feed_forward: float = 4
    rotary: bool = False
    late_positions: bool = False
    global_first: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    teacher_layers: Mapping[tuple[int, int], int] = field(default_factory=dict)


_LATE = FamilyDefaults(late_positions=True)
_ROTATED = FamilyDefaults(rotary=True)
# Wang et al. 2021, section 4.1: layer 21 of BERT-large, 19 of RoBERTa-large and XLM-R-large.
_19_OF_24 = {(24, 1024): 19}
FAMILY_DEFAULTS: dict[str, FamilyDefaults] = {
    "bert": FamilyDefaults(teacher_layers={(24, 1024): 21}),
    "roberta": FamilyDefaults(late_positions=True, teacher_layers=_19_OF_24),
    "xlm-roberta": FamilyDefaults(late_positions=True, teacher_layers=_19_OF_24),
    "camembert": _LATE,
    "data2vec-text": _LATE,
    "mpnet": _LATE,
    "roberta-prelayernorm": _LATE,
    "xlm-roberta-xl": _LATE,
    # It would switch from sparse to full attention at the first batch of short texts and stay there: outputs would
    # depend on the order of the batches, and a resumed run would draw other dropouts.
    "big_bird": FamilyDefaults(settings=(("attention_type", "original_full"),)),
    "longformer": FamilyDefaults(late_positions=True, global_first=True),
    "eurobert": _ROTATED,
    "gte": _ROTATED,
    "nomic_bert": _ROTATED,
    "roformer": _ROTATED,
    # Its feed-forward layers are gated, with two input matrices: base has 1152 for 768.
    "modernbert": FamilyDefaults(feed_forward=1.5, rotary=True),
}

# Settings that some configurations have, in any family.
KEY_HEADS = "num_key_value_heads"
"""The number of heads of keys and values, where several queries share them."""
WIDTH_SETTINGS = ("embedding_size", "pooler_hidden_size")
"""Widths of their own that some models have (ELECTRA's embeddings, DeBERTa's pooler); a student has one width."""
HEAD_WIDTH_SETTINGS = ("attention_head_size", "head_dim")
"""The width of a head, which a student derives from its own width and heads."""
LAYER_KINDS = "layer_types"
"""The kind of each layer: whether it attends to all tokens or to near ones (ModernBERT)."""
LAYER_WINDOWS = "attention_window"
"""How far each layer attends (Longformer)."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of an encoder.

    Attributes:
        layers: Transformer layers.
        hidden: width of the hidden states.
        heads: attention heads.
        feed_forward: width of the feed-forward layers.
    """

    layers: int
    hidden: int
    heads: int
    feed_forward: int


def family_of(config: Any, family: FamilyConfig | None = None) -> FamilyConfig:
    """Return the family of a model.

    Args:
        config: the model's Hugging Face configuration.
        family: the family that the recipe sets; it takes precedence over the table.

    Returns:
        the paths and names of the family.

    Raises:
        HornbookError: the family is not in the table and the recipe names none.
    """
    kind = str(config.model_type)
    if family is None and kind not in FAMILIES:
        raise HornbookError(
            f"{kind} models are not known here, only {', '.join(FAMILIES)}; "
            f"teacher.family in a recipe can say where a {kind} model keeps its projections"
        )
    return family or FAMILIES[kind]


def defaults_of(config: Any) -> FamilyDefaults:
    """Return the peculiarities of a model's family; those of BERT where the table has no row for it."""
    return FAMILY_DEFAULTS.get(str(getattr(config, "model_type", None)), FamilyDefaults())


def sizes_of(config: Any, family: FamilyConfig | None = None) -> Sizes:
    """Return the sizes of a model by its configuration.

    Args:
        config: the model's Hugging Face configuration.
        family: the model's family, for one that is not in the table.

    Returns:
        layers, widths and attention heads.

    Raises:
        HornbookError: its family is unknown, or the configuration lacks a setting that the recipe's family names.
    """
    names = size_names(family_of(config, family))
    for size, name in names.items():
        _must_have(config, name, size)
    return Sizes(**{field: int(getattr(config, name)) for field, name in names.items()})


def key_widths(config: Any, family: FamilyConfig | None = None) -> tuple[int, int]:
    """Return the width of a layer's queries, and that of its keys and values, which may have fewer heads.

    Args:
        config: the model's Hugging Face configuration.
        family: the model's family, for one that is not in the table.

    Returns:
        (width of the queries, width of the keys and values), over all heads; equal unless queries share keys.

    Raises:
        HornbookError: see `sizes_of`.
    """
    sizes = sizes_of(config, family)
    shared = getattr(config, KEY_HEADS, None)
    return sizes.hidden, sizes.hidden if shared is None else sizes.hidden // sizes.heads * int(shared)


def family_settings(family: FamilyConfig | None) -> dict[str, Any] | None:
    """Return the settings of a recipe's family for a content key (see `_LATER`)."""
    if family is None:
        return None
    plain = FamilyConfig(attention=family.attention, projections=family.projections)
    return {
        name: value
        for name, value in result_config(family).items()
        if name not in _LATER or getattr(family, name) != getattr(plain, name)
    }


def default_teacher_layer(config: Any, family: FamilyConfig | None = None) -> int:
    """Return the layer that teaches relations by default, counted from 1 (see `FamilyDefaults.teacher_layers`)."""
    sizes = sizes_of(config, family)
    return defaults_of(config).teacher_layers.get((sizes.layers, sizes.hidden), sizes.layers)


def attention_end(config: Any) -> str | None:
    """Return the path of the module that ends the last layer's attention, in families built like BERT; else None.

    After it no token depends on another.
    """
    family = FAMILIES.get(str(config.model_type))
    whole, inner, _ = family.attention.rpartition(".self") if family else ("", "", "")
    return whole.format(layer=config.num_hidden_layers - 1) if inner else None


def _must_have(config: Any, name: str, field: str) -> None:
    if not hasattr(config, name):
        raise HornbookError(
            f"teacher.family.{field}: the configuration of this {config.model_type} model has no {name}; "
            f"the closest of its names are {nearest(name, config.to_dict())}"
        )


def size_names(family: FamilyConfig) -> dict[str, str]:
    """Return the family's own names for layers, hidden, heads and feed_forward."""
    return {field: getattr(family, field) for field in ("layers", "hidden", "heads", "feed_forward")}


def size_values(family: FamilyConfig, sizes: Sizes) -> dict[str, int]:
    """Return sizes under the names that the family's configuration has for them."""
    return {name: asdict(sizes)[field] for field, name in size_names(family).items()}


def set_dropout(config: Any, dropout: float, family: FamilyConfig | None = None) -> None:
    """Set all dropout probabilities of a configuration, in place.

    Args:
        config: a Hugging Face configuration.
        dropout: the probability, from 0 to 1.
        family: the model's family, for one that is not in the table.

    Raises:
        HornbookError: the family is unknown, or the configuration lacks a setting that the recipe's family names.
    """
    for name in family_of(config, family).dropouts:
        _must_have(config, name, "dropouts")
        setattr(config, name, dropout)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return up to three names similar to a wrong one, for messages."""
    return ", ".join(difflib.get_close_matches(name, list(names), n=3, cutoff=0.0)) or "none"
