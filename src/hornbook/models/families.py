"""The encoder families that can teach and learn, as data: where their projections stand, how sizes are named."""

from dataclasses import dataclass
from typing import Any

from hornbook.errors import HornbookError


@dataclass(frozen=True)
class Family:
    """Where a family keeps what distillation needs.

    Attributes:
        attention: path of a layer's self-attention inside the base model; `{layer}` counts from 0.
        projections: names of the query, key and value projections inside it.
        sizes: the configuration's names for layers, hidden, heads and feed-forward width.
        dropouts: the configuration's names for its dropout probabilities.
    """

    attention: str
    projections: tuple[str, str, str]
    sizes: tuple[str, str, str, str]
    dropouts: tuple[str, ...]


_BERT = Family(
    attention="encoder.layer.{layer}.attention.self",
    projections=("query", "key", "value"),
    sizes=("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size"),
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
)

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "distilbert": Family(
        attention="transformer.layer.{layer}.attention",
        projections=("q_lin", "k_lin", "v_lin"),
        sizes=("n_layers", "dim", "n_heads", "hidden_dim"),
        dropouts=("dropout", "attention_dropout"),
    ),
}


# Their positions are numbered from after the padding token's id.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta"}


def most_tokens(config: Any) -> int | None:
    """Return how many tokens a model has positions for; None where the family is not in the table."""
    if config.model_type not in FAMILIES:
        return None
    first = config.pad_token_id + 1 if config.model_type in _OFFSET_POSITIONS else 0
    return int(config.max_position_embeddings) - first


def family_of(config: Any) -> Family:
    """Return the family of a model by its Hugging Face configuration.

    Raises:
        HornbookError: the family is not in the table.
    """
    kind = str(config.model_type)
    if kind not in FAMILIES:
        raise HornbookError(f"{kind} models cannot be distilled yet; the families are {', '.join(FAMILIES)}")
    return FAMILIES[kind]
