#!/usr/bin/env bash
# JSON Lines: one whole number beyond 64 bits turns the column into doubles, and other numbers in it are rounded.
#
# Packages: datasets 5.2.0, pyarrow 26.0.1.
# A good guess: an error, as for other numbers that do not fit, or exact integers.
# Seen: float64. Two ids that differ by 1 (9007199254740993 and ...992, both fine as int64) become one and the same number
# because a third id in the file has 20 digits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys

import datasets
import pyarrow.json

folder = sys.argv[1]
near = [9007199254740993, 9007199254740992]


def load(name, ids):
    path = f"{folder}/{name}.jsonl"
    with open(path, "w") as file:
        file.writelines(json.dumps({"id": number}) + "\n" for number in ids)
    return pyarrow.json.read_json(path)["id"], datasets.load_dataset("json", data_files=path, split="train")


arrow, alone = load("alone", near)
print("alone:", alone.features["id"], alone["id"][:])
assert arrow.to_pylist() == alone["id"][:] == near
arrow, beside = load("beside", [*near, 2**64])
print("beside a larger one:", beside.features["id"], beside["id"][:])
assert str(arrow.type) == "double"
assert beside["id"][0] == beside["id"][1]
print("as recorded")
PYTHON
