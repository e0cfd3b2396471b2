#!/usr/bin/env bash
# A tokenizer without a class of its own returns no token_type_ids, though tokenizer.json defines them.
#
# Packages: transformers 5.23.0, tokenizers 0.23.3.
# A good guess: a tokenizer.json whose template marks the second text with type 1, loaded beside a BERT, gives the model
# these types, as BertTokenizer does.
# Seen: PreTrainedTokenizerFast has model_input_names ["input_ids", "attention_mask"] by default in transformers 5 (4 had
# token_type_ids too), and saving keeps no other: the pipeline runs a BERT of text pairs with all tokens in segment 0,
# without a word. model_input_names in tokenizer_config.json, or return_token_type_ids=True, is needed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
"$folder/venv/bin/python" - "$folder/saved" <<'PYTHON'
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, BertConfig, PreTrainedTokenizerFast

plain = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "film": 3}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
plain.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
)
PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]").save_pretrained(sys.argv[1])
BertConfig().save_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
given = tokenizer("film", "film film")
print(tokenizer.model_input_names, dict(given))
assert tokenizer.backend_tokenizer.encode("film", "film film").type_ids == [0, 0, 0, 1, 1, 1]
assert "token_type_ids" not in given
assert tokenizer("film", "film film", return_token_type_ids=True)["token_type_ids"] == [0, 0, 0, 1, 1, 1]
named = AutoTokenizer.from_pretrained(sys.argv[1], model_input_names=["input_ids", "token_type_ids", "attention_mask"])
assert named("film", "film film")["token_type_ids"] == [0, 0, 0, 1, 1, 1]
print("as recorded")
PYTHON
