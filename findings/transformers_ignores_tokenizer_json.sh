#!/usr/bin/env bash
# AutoTokenizer takes the vocabulary from tokenizer.json and ignores its normalizer and pre-tokenizer for most families.
#
# Packages: transformers 5.23.0, tokenizers 0.23.3.
# A good guess: tokenizer.json is the whole tokenizer, so a fast tokenizer reads as tokenizers.Tokenizer.from_file does.
# Seen: BertTokenizer, RobertaTokenizer, XLMRobertaTokenizer and others are built anew around the vocabulary. A cased BERT
# whose tokenizer_config.json does not say do_lower_case reads lower case without accents; white space as the only word
# break in the file becomes BERT's own rules; NFKC of a Unigram file is lost. With the class PreTrainedTokenizerFast in
# tokenizer_config.json the file is read as it stands.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

root = Path(sys.argv[1])


def load(name, kind, stored, settings):
    folder = root / name
    folder.mkdir()
    stored.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 100}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return AutoTokenizer.from_pretrained(folder)


words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Caf\u00e9", "cafe", "a-b", "a", "-", "b"]
cased = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
cased.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
cased.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
text = "Caf\u00e9 a-b"
stored = cased.encode(text, add_special_tokens=False).tokens
found = load("bert", "bert", cased, {"tokenizer_class": "BertTokenizer"}).tokenize(text)
print(ascii(text), "in the file:", ascii(stored), "BertTokenizer:", found)
assert stored == ["Caf\u00e9", "a-b"]
assert found == ["cafe", "a", "-", "b"]
special = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
found = load("plain", "bert", cased, {"tokenizer_class": "PreTrainedTokenizerFast", **special}).tokenize(text)
print("PreTrainedTokenizerFast:", ascii(found))
assert found == stored

pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581film", "\u2581", "f", "i", "l", "m", "<mask>"]
unigram = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=3))
unigram.normalizer = normalizers.NFKC()
unigram.pre_tokenizer = pre_tokenizers.Metaspace()
found = load("xlm-roberta", "xlm-roberta", unigram, {"tokenizer_class": "XLMRobertaTokenizer"}).tokenize("\ufb01lm")
print("XLMRobertaTokenizer reads a ligature as", ascii(found), "the file as", ascii(unigram.encode("\ufb01lm").tokens))
assert unigram.encode("\ufb01lm").tokens == ["\u2581film"]
assert found == ["\u2581", "\ufb01", "l", "m"]
print("as recorded")
PYTHON
