"""The encoder families that can teach and learn, as data: where their projections stand, how sizes are named."""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hornbook.errors import HornbookError
from hornbook.recipe import FamilyConfig

_BERT = FamilyConfig(
    attention="encoder.layer.{layer}.attention.self",
    projections=("query", "key", "value"),
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
)

FAMILIES: dict[str, FamilyConfig] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
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
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    ),
    # Tapped before queries and keys are rotated by their positions.
    "modernbert": FamilyConfig(
        attention="layers.{layer}.attn",
        projections=("Wqkv",),
        dropouts=("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"),
    ),
}


@dataclass(frozen=True)
class Habit:
    """What a family's models have in common, beyond where their parts stand.

    Attributes:
        feed_forward: the width of the feed-forward layers for each 1 of the hidden states.
        rotary: whether queries and keys are rotated by position, which takes heads of an even width.
        late_positions: whether positions are numbered from after the padding token's id.
    """

    feed_forward: float = 4
    rotary: bool = False
    late_positions: bool = False


HABITS: dict[str, Habit] = {
    "roberta": Habit(late_positions=True),
    "xlm-roberta": Habit(late_positions=True),
    # Its feed-forward layers are gated, with two matrices on the way in: base has 1152 for 768.
    "modernbert": Habit(feed_forward=1.5, rotary=True),
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


def habit_of(config: Any) -> Habit:
    """Return the habit of a model's family; that of BERT where the table has none."""
    return HABITS.get(str(config.model_type), Habit())


def sizes_of(config: Any, family: FamilyConfig | None = None) -> Sizes:
    """Return the sizes of a model by its configuration.

    Raises:
        HornbookError: its family is unknown, or the configuration has not what the recipe's family names.
    """
    names = size_names(family_of(config, family))
    for field, name in names.items():
        if not hasattr(config, name):
            raise HornbookError(
                f"teacher.family.{field}: the configuration of this {config.model_type} model has no {name}; "
                f"the nearest of its names are {nearest(name, config.to_dict())}"
            )
    return Sizes(**{field: int(getattr(config, name)) for field, name in names.items()})


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
        if not hasattr(config, name):
            raise HornbookError(
                f"teacher.family.dropouts: the configuration of this {config.model_type} model has no {name}; "
                f"the nearest of its names are {nearest(name, config.to_dict())}"
            )
        setattr(config, name, dropout)


def most_tokens(config: Any) -> int | None:
    """Return how many tokens a model has positions for; None where the family is not in the table."""
    if config.model_type not in FAMILIES:
        return None
    first = config.pad_token_id + 1 if habit_of(config).late_positions else 0
    return int(config.max_position_embeddings) - first


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the names most like a wrong one, for messages."""
    return ", ".join(difflib.get_close_matches(name, list(names), n=3, cutoff=0.0)) or "none"
