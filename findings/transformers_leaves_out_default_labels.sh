#!/usr/bin/env bash
# transformers writes neither names nor number of labels into config.json where a classifier has two with default names.
#
# Packages: transformers 5.23.0; no model, no PyTorch.
# A good guess: the saved configuration of a classifier names its labels, whatever they are called.
# Seen: with LABEL_0 and LABEL_1 config.json has no `id2label`, `label2id` or `num_labels`; with three default names, or with
# two others, it has them. A program that maps logits to names from config.json alone (onnxruntime's users, servers)
# then fails on exactly these models; transformers itself reads two labels back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON' 2>/dev/null
import json
import sys
from pathlib import Path

from transformers import BertConfig

seen = {}
for name, labels in {
    "two of its own": ["LABEL_0", "LABEL_1"],
    "three of its own": ["LABEL_0", "LABEL_1", "LABEL_2"],
    "two others": ["bad", "good"],
}.items():
    folder = Path(sys.argv[1]) / name.replace(" ", "-")
    config = BertConfig(id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)})
    config.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    seen[name] = sorted({"id2label", "label2id", "num_labels"} & set(written))
    print(f"{name}: config.json has {seen[name] or 'none'}; read back: {BertConfig.from_pretrained(folder).id2label}")
assert seen["two of its own"] == [], seen
assert seen["two others"] == ["id2label", "label2id"], seen
PYTHON
