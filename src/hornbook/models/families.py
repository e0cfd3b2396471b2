"""The encoder families that can teach and learn, as data: where their projections stand, how sizes are named."""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hornbook.errors import HornbookError
from hornbook.recipe import FamilyConfig
from hornbook.store import result_config

# What transformers' configurations call the number of heads of keys and values, where several queries share them.
KEY_HEADS = "num_key_value_heads"
_LATER = ("fused", "biases", "sequence_first")

_HIDDEN_AND_ATTENTION = ("hidden_dropout_prob", "attention_probs_dropout_prob")
_BERT = FamilyConfig(
    attention="encoder.layer.{layer}.attention.self",
    projections=("query", "key", "value"),
    dropouts=(*_HIDDEN_AND_ATTENTION, "classifier_dropout"),
)
# As BERT, but the head's dropout has no name of its own, or another one.
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
    # Tapped before queries and keys are rotated by their positions, as in all families that rotate them.
    "roformer": _LIKE_BERT,
    "rembert": _NAMED_HEAD,
    # One layer that runs many times.
    "albert": _NAMED_HEAD.model_copy(update={"attention": "encoder.albert_layer_groups.0.albert_layers.0.attention"}),
    "mpnet": FamilyConfig(
        attention="encoder.layer.{layer}.attention.attn",
        projections=("q", "k", "v"),
        dropouts=_HIDDEN_AND_ATTENTION,
    ),
    # Tokens see those near them, and the first one; relations are those of all tokens.
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
    # DeBERTa v3 is of this type too. Its attention reads relative positions as well; what the layer makes of its
    # input, which is tapped, does not.
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
    """What a family's models have in common, beyond where their parts stand.

    Attributes:
        feed_forward: the width of the feed-forward layers for each 1 of the hidden states.
        rotary: whether queries and keys are rotated by position, which takes heads of an even width.
        late_positions: whether positions are numbered from after the padding token's id.
        settings: what its configurations must say here, beside what they say.
        global_first: whether attention is local, but the first token sees all and all see it, as in its classifiers.
    """

    feed_forward: float = 4
    rotary: bool = False
    late_positions: bool = False
    global_first: bool = False
    settings: tuple[tuple[str, Any], ...] = ()


_LATE_POSITIONS = (
    *("roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet"),
    *("roberta-prelayernorm", "xlm-roberta-xl"),
)
_LATE_POSITIONS = (
    *("roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet"),
    *("roberta-prelayernorm", "xlm-roberta-xl"),
)
FAMILY_DEFAULTS: dict[str, FamilyDefaults] = {
    **{kind: FamilyDefaults(late_positions=True) for kind in _LATE_POSITIONS},
    # It would switch from sparse to full attention at the first batch of short texts, and stay there: outputs would
    # depend on the order of the batches, and a run that resumes would draw other dropouts.
    "big_bird": FamilyDefaults(settings=(("attention_type", "original_full"),)),
    "longformer": FamilyDefaults(late_positions=True, global_first=True),
    **{kind: FamilyDefaults(rotary=True) for kind in ("eurobert", "gte", "nomic_bert", "roformer")},
    # Its feed-forward layers are gated, with two matrices on the way in: base has 1152 for 768.
    "modernbert": FamilyDefaults(feed_forward=1.5, rotary=True),
}


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
    """Return the family of a model by its Hugging Face configuration; a recipe's own family wins.

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


def habit_of(config: Any) -> FamilyDefaults:
    """Return the habit of a model's family; that of BERT where the table has none."""
    return FAMILY_DEFAULTS.get(str(getattr(config, "model_type", None)), FamilyDefaults())


def sizes_of(config: Any, family: FamilyConfig | None = None) -> Sizes:
    """Return the sizes of a model by its configuration.

    Raises:
        HornbookError: its family is unknown, or the configuration has not what the recipe's family names.
    """
    names = size_names(family_of(config, family))
    for field, name in names.items():
        _must_have(config, name, field)
    return Sizes(**{field: int(getattr(config, name)) for field, name in names.items()})


def key_widths(config: Any, family: FamilyConfig | None = None) -> tuple[int, int]:
    """Return the widths of a layer's queries, and of its keys and values, which may have fewer heads.

    Raises:
        HornbookError: see `sizes_of`.
    """
    sizes = sizes_of(config, family)
    shared = getattr(config, KEY_HEADS, None)
    return sizes.hidden, sizes.hidden if shared is None else sizes.hidden // sizes.heads * int(shared)


def family_settings(family: FamilyConfig | None) -> dict[str, Any] | None:
    """Return what a key says of a recipe's family: what came later than 0.1 only where it is set."""
    if family is None:
        return None
    plain = FamilyConfig(attention=family.attention, projections=family.projections)
    return {
        name: value
        for name, value in result_config(family).items()
        if name not in _LATER or getattr(family, name) != getattr(plain, name)
    }


def _must_have(config: Any, name: str, field: str) -> None:
    if not hasattr(config, name):
        raise HornbookError(
            f"teacher.family.{field}: the configuration of this {config.model_type} model has no {name}; "
            f"the nearest of its names are {nearest(name, config.to_dict())}"
        )


def size_names(family: FamilyConfig) -> dict[str, str]:
    """Return the family's own names for layers, hidden, heads and feed_forward."""
    return {field: getattr(family, field) for field in ("layers", "hidden", "heads", "feed_forward")}


def size_values(family: FamilyConfig, sizes: Sizes) -> dict[str, int]:
    """Return sizes under the names that the family's configuration has for them."""
    return {name: asdict(sizes)[field] for field, name in size_names(family).items()}


def set_dropout(config: Any, dropout: float, family: FamilyConfig | None = None) -> None:
    """Set all probabilities of dropout that the family's configurations have.

    Raises:
        HornbookError: the family is unknown, or the configuration has not what the recipe's family names.
    """
    for name in family_of(config, family).dropouts:
        _must_have(config, name, "dropouts")
        setattr(config, name, dropout)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the names most like a wrong one, for messages."""
    return ", ".join(difflib.get_close_matches(name, list(names), n=3, cutoff=0.0)) or "none"
