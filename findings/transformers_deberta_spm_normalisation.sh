#!/usr/bin/env bash
# A DeBERTa-v2/v3 folder with spm.model and no tokenizer.json loses the SentencePiece model's Unicode normalisation.
#
# Packages: transformers 5.23.0, tokenizers 0.23.3, sentencepiece 0.2.3.
# A good guess: the fast tokenizer made of spm.model gives the pieces that SentencePiece gives, as it does for XLM-R.
# Seen: the normalisation stored in spm.model (nmt_nfkc, SentencePiece's default) is left out for DeBERTa: ligatures,
# fractions, full-width letters, ellipses, no-break spaces and zero-width spaces end as other pieces, mostly unknown.
# The same model file in an XLM-R folder gives SentencePiece's own pieces.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    transformers==5.23.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import shutil
import sys
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer

root = Path(sys.argv[1])
words = [f"{a}{b}" for a in ("fi", "flo", "ne", "br", "wo", "ta") for b in ("n", "le", "rd", "ak", "e", "st")]
lines = [f"{words[i % 36]} {words[i * 7 % 36]} {words[i * 11 % 36]} ... 1 2 3 A B C" for i in range(400)]
(root / "text.txt").write_text("\n".join(lines))
sentencepiece.SentencePieceTrainer.train(
    input=str(root / "text.txt"), model_prefix=str(root / "model"), vocab_size=60, minloglevel=2, num_threads=1,
    hard_vocab_limit=False,
)
truth = sentencepiece.SentencePieceProcessor(model_file=str(root / "model.model"))


def load(kind, name):
    (root / kind).mkdir()
    shutil.copy(root / "model.model", root / kind / name)
    (root / kind / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 60}))
    return AutoTokenizer.from_pretrained(root / kind)


deberta, xlmr = load("deberta-v2", "spm.model"), load("xlm-roberta", "sentencepiece.bpe.model")
for text in ("fin able", "\ufb01ne", "fin\u00a0brak", "\uff21\uff22", "fine\u2026", "\u2460"):
    pieces = truth.encode(text, out_type=str)
    print(ascii(text), "SentencePiece", ascii(pieces), "DeBERTa", ascii(deberta.tokenize(text)))
    assert xlmr.tokenize(text) == pieces
    assert (deberta.tokenize(text) == pieces) == text.isascii()
print("as recorded")
PYTHON
