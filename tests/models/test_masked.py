import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM
from transformers.models.auto.configuration_auto import AutoConfig

from hornbook.errors import HornbookError
from hornbook.models.encode import model_inputs
from hornbook.models.loading import load_masked_lm
from hornbook.models.masked import MaskedModel

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 60,
    "max_position_embeddings": 40,
}
KINDS = {
    "bert": {},
    "roberta": {},
    "electra": {"embedding_size": 16},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
    "modernbert": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "mpnet": {},
}


def tiny(kind):
    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, **SIZES | KINDS[kind], initializer_range=0.5)
    return AutoModelForMaskedLM.from_config(config).eval()


def batch_of(lengths):
    draw = np.random.default_rng(0)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ids = np.where(mask, draw.integers(5, 60, mask.shape), 0)
    types = (np.arange(max(lengths)) > 4) & mask
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[12, 9, 9, 5], [7, 7], [6]])
def test_likeliest_pieces_equal_those_of_all_logits(kind, lengths):
    batch, masked = batch_of(lengths), np.array([length // 2 for length in lengths])
    model = tiny(kind)
    with torch.inference_mode():
        logits = model(**model_inputs(model, batch)).logits[torch.arange(len(masked)), torch.from_numpy(masked)]
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape))
    best = MaskedModel(model, torch.device("cpu")).best(batch, masked, 7)
    assert best.dtype == np.int32
    assert best.tolist() == logits.topk(7).indices.tolist()
    # The head has not seen the other positions.
    assert [shape[:2] for shape in seen] == [(len(lengths), 1)]


def test_a_model_without_its_head_is_refused(tmp_path):
    tiny("bert").base_model.save_pretrained(tmp_path / "encoder")
    with pytest.raises(HornbookError, match=r"not a masked language model \(BertModel\)"):
        load_masked_lm(str(tmp_path / "encoder"))
    tiny("bert").save_pretrained(tmp_path / "whole")
    assert type(load_masked_lm(str(tmp_path / "whole"))).__name__ == "BertForMaskedLM"
