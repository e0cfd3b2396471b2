#!/usr/bin/env bash
# AutoTokenizer.from_pretrained of a model folder without any tokenizer file returns an empty tokenizer, not an error.
#
# Packages: transformers 5.23.0, tokenizers 0.23.3.
# A good guess: it fails, as it does for a folder without weights (and as transformers 4 did).
# Seen: model.save_pretrained(folder) alone writes config and weights; AutoTokenizer then gives a fast tokenizer of five
# special tokens, without a warning. BERT reads every word as [UNK]; RoBERTa reads every text as empty (<s></s>). Training and
# scoring run, on nothing. ModernBERT's folder is refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

from transformers import AutoTokenizer

for kind, read in (("bert", ["[CLS]", "[UNK]", "[UNK]", "[SEP]"]), ("roberta", ["<s>", "</s>"])):
    model = Path(sys.argv[1]) / kind
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 1000}))
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = tokenizer.convert_ids_to_tokens(tokenizer("wonderful film")["input_ids"])
    print(f"{kind}: {len(tokenizer)} tokens; 'wonderful film' is {found}")
    assert len(tokenizer) == 5
    assert found == read
model = Path(sys.argv[1]) / "modernbert"
model.mkdir()
(model / "config.json").write_text(json.dumps({"model_type": "modernbert", "vocab_size": 60_000}))
try:
    AutoTokenizer.from_pretrained(model)
except ValueError as error:
    print("modernbert:", str(error).splitlines()[0])
else:
    raise AssertionError("modernbert is no longer refused")
print("as recorded")
PYTHON
