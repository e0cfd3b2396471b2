#!/usr/bin/env bash
# load_dataset of a folder with train.csv and eval.csv calls the second one the test split.
#
# Package: datasets 5.2.0.
# A good guess: eval is what a training script is evaluated on while it runs, so it is the validation split, as "dev" is.
# Seen: the splits are train and test; "evaluation" is test too, "dev", "valid" and "val" are validation. Code that asks for
# "validation" fails, and code that reports "test" reports what the model was chosen on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

from datasets import load_dataset

expected = {"eval": "test", "evaluation": "test", "testing": "test", "dev": "validation", "val": "validation"}
for name, split in expected.items():
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    for file in ("train", name):
        (folder / f"{file}.csv").write_text("text,label\na film,1\n")
    found = list(load_dataset(str(folder)))
    print(f"train.csv and {name}.csv:", found)
    assert found == ["train", split]
print("as recorded")
PYTHON
