#!/usr/bin/env bash
# Truncating a pair of long texts makes an overflow piece for each combination of pieces of both.
#
# Package: tokenizers 0.23.3.
# A good guess: encoding a pair with truncation costs what reading both texts costs; what overflows is kept only if asked for.
# Seen: two texts of 1,000 words cut at 16 tokens leave 23,880 overflowing encodings, two of 2,000 words 95,523: quadratic
# in the length, in time and memory, though nobody asked for overflowing tokens. A single text leaves one piece for each
# 14 tokens. Pairs of documents want their texts cut before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tokenizers==0.23.3
"$folder/venv/bin/python" - <<'PYTHON'
import time

from tokenizers import Tokenizer, models, pre_tokenizers, processors

tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "film": 3}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
)
tokenizer.enable_truncation(16)
found = {}
for words in (500, 1000, 2000):
    text = "film " * words
    started = time.perf_counter()
    pair = tokenizer.encode(text, text)
    seconds = time.perf_counter() - started
    single = tokenizer.encode(text)
    found[words] = len(pair.overflowing)
    print(f"{words} words: a pair leaves {len(pair.overflowing)} pieces ({seconds:.2f} s), one text {len(single.overflowing)}")
    assert len(pair.ids) == len(single.ids) == 16
    assert len(single.overflowing) < words
assert found[1000] > 3.9 * found[500]
assert found[2000] > 3.9 * found[1000] > 20_000
print("as recorded")
PYTHON
