#!/usr/bin/env bash
# An empty second text is dropped with its separator if the tokenizer is given one pair, and kept in a batch.
#
# Packages: transformers 5.23.0, tokenizers 0.23.3.
# A good guess: a tokenizer reads a pair alike whether it is alone or in a batch of one.
# Seen: tokenizer("film", "") gives [CLS] film [SEP], as for a single text; tokenizer([("film", "")]) and
# tokenizer(["film"], [""]) give [CLS] film [SEP] [SEP], as tokenizers itself does. The pipeline asks for one pair at a
# time, a training set is read in batches: a model answers such a pair otherwise than where it was evaluated.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
"$folder/venv/bin/python" - <<'PYTHON'
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

plain = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "film": 3}, unk_token="[UNK]"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
plain.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]")
alone = tokenizer("film", "")["input_ids"]
batches = tokenizer([("film", "")])["input_ids"][0], tokenizer(["film"], [""])["input_ids"][0]
print("one pair:", alone, "batches:", *batches, "tokenizers:", plain.encode("film", "").ids)
assert alone == [1, 3, 2]
assert batches == ([1, 3, 2, 2], [1, 3, 2, 2])
assert plain.encode("film", "").ids == [1, 3, 2, 2]
print("as recorded")
PYTHON
