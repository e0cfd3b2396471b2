"""A tiny random encoder of every family, and what a test has to know of each."""

from dataclasses import dataclass, field

import torch
import transformers

from hornbook.recipe import FamilyConfig

SIZES = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
SHARED = {"vocab_size": 50, "max_position_embeddings": 40, **SIZES}
DISTILBERT = {"dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
# As DeBERTa v3 is configured.
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 24,
    "max_relative_positions": -1,
}
MODERNBERT = {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "cls_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
    "attention_dropout": 0.1,
    "mlp_dropout": 0.1,
    "embedding_dropout": 0.1,
    "local_attention": 4,
}
DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
LATE = {**SHARED, "pad_token_id": 1}
ROTARY = {
    "layer": "layers.{}",
    "projections": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "above": ("self_attn.o_proj", "mlp", "post_attention_layernorm"),
    "after": ("pooler",),
}
ROTARY_BERT = {**ROTARY, "above": (*ROTARY["above"], "post_mlp_layernorm")}
UNKNOWN_FAMILY = FamilyConfig(
    attention="encoder.layer.{layer}.attention.self",
    projections=("query", "key", "value"),
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
)


BERT_ABOVE = ("attention.output", "intermediate", "output")


@dataclass(frozen=True)
class Encoder:
    """A family's classes, and where its parts stand.

    Attributes:
        name: the beginning of its classes' names.
        settings: of its configuration.
        layer: path of a layer.
        projections: paths of query, key and value in a layer, or of the one that makes all three.
        norm: path in a layer of a norm that the projections read through.
        above: beginnings of names that stand above the projections, in a layer.
        further: inputs beside those that every family takes.
        keys: width of keys and values.
        shared: whether all layers are one module.
        after: beginnings of names that stand after all layers.
        family: its recipe, where it is not in the table.
    """

    name: str
    settings: dict
    layer: str = "encoder.layer.{}"
    projections: tuple = ("attention.self.query", "attention.self.key", "attention.self.value")
    norm: str | None = None
    above: tuple = BERT_ABOVE
    after: tuple = ("pooler",)
    further: dict = field(default_factory=dict)
    keys: int = 24
    shared: bool = False
    family: FamilyConfig | None = None

    def batch(self):
        """Return `batch`, and what else this family takes."""
        return {**batch(), **self.further}

    def config(self, **settings):
        return getattr(transformers, f"{self.name}Config")(**{**self.settings, **settings})

    def model(self, **settings):
        """Return its random model, the same every time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = getattr(transformers, f"{self.name}Model")(self.config(**settings))
            for name, parameter in model.named_parameters():
                if name.endswith(("q_bias", "v_bias")):  # which begin at 0
                    parameter.data.normal_()
            return model

    def classifier(self, labels=3, **settings):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = self.config(num_labels=labels, **settings)
            return getattr(transformers, f"{self.name}ForSequenceClassification")(config)


ENCODERS = {
    "bert": Encoder("Bert", SHARED),
    "roberta": Encoder("Roberta", SHARED),
    "xlm-roberta": Encoder("XLMRoberta", SHARED),
    "camembert": Encoder("Camembert", LATE),
    "data2vec-text": Encoder("Data2VecText", LATE),
    "ernie": Encoder("Ernie", SHARED),
    "big_bird": Encoder("BigBird", {**SHARED, "attention_type": "original_full"}),
    "megatron-bert": Encoder(
        "MegatronBert",
        SHARED,
        norm="attention.ln",
        above=("attention.output", "ln", "intermediate", "output"),
        after=("encoder.ln", "pooler"),
    ),
    "roformer": Encoder("RoFormer", {**SHARED, "embedding_size": 16}, after=()),
    "rembert": Encoder("RemBert", {**SHARED, **DROPOUT, "input_embedding_size": 16}),
    "roberta-prelayernorm": Encoder(
        "RobertaPreLayerNorm", LATE, norm="attention.LayerNorm", after=("LayerNorm", "pooler")
    ),
    "xlm-roberta-xl": Encoder(
        "XLMRobertaXL",
        LATE,
        norm="attention.self_attn_layer_norm",
        above=("attention.output", "LayerNorm", "intermediate", "output"),
        after=("encoder.LayerNorm", "pooler"),
    ),
    "mpnet": Encoder(
        "MPNet",
        SHARED,
        projections=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        above=("attention.attn.o", "attention.LayerNorm", "intermediate", "output"),
    ),
    "longformer": Encoder(
        "Longformer",
        {**LATE, "attention_window": 8},
        above=(*(f"attention.self.{name}_global" for name in ("query", "key", "value")), *BERT_ABOVE),
        further={"global_attention_mask": torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0]])},
    ),
    "albert": Encoder(
        "Albert",
        {**SHARED, **DROPOUT, "embedding_size": 16},
        layer="encoder.albert_layer_groups.0.albert_layers.0",
        projections=("attention.query", "attention.key", "attention.value"),
        above=(),
        shared=True,
    ),
    "deberta": Encoder(
        "Deberta",
        {**SHARED, **DEBERTA, "pos_att_type": ["c2p", "p2c"]},
        projections=("attention.self.in_proj",),
        above=("attention.self.pos_proj", "attention.self.pos_q_proj", *BERT_ABOVE),
        after=(),
    ),
    "nomic_bert": Encoder("NomicBert", {**SHARED, **DROPOUT}, **ROTARY_BERT),
    "gte": Encoder("Gte", SHARED, **ROTARY_BERT),
    "eurobert": Encoder(
        "EuroBert",
        {**LATE, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 1, "attention_dropout": 0.1},
        **{**ROTARY, "norm": "input_layernorm", "after": ("norm",), "keys": 12},
    ),
    "electra": Encoder("Electra", {**SHARED, "embedding_size": 16}, after=()),
    "distilbert": Encoder(
        "DistilBert",
        {"vocab_size": 50, "max_position_embeddings": 40, **DISTILBERT},
        layer="transformer.layer.{}",
        projections=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        above=("attention.out_lin", "sa_layer_norm", "ffn", "output_layer_norm"),
        after=(),
    ),
    "deberta-v2": Encoder(
        "DebertaV2",
        {**SHARED, **DEBERTA},
        projections=("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"),
        after=(),
    ),
    "modernbert": Encoder(
        "ModernBert",
        {**SHARED, **MODERNBERT},
        layer="layers.{}",
        projections=("attn.Wqkv",),
        norm="attn_norm",
        above=("attn.Wo", "mlp_norm", "mlp"),
        after=("final_norm",),
    ),
}
UNKNOWN = Encoder("LayoutLM", SHARED, family=UNKNOWN_FAMILY)
ALL = {**ENCODERS, "layoutlm": UNKNOWN}


def batch():
    """Return two sequences of four and two tokens; only what every family takes."""
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 1, 1]])
    return {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])}
