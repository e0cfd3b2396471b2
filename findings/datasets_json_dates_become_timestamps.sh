#!/usr/bin/env bash
# JSON Lines: a column of strings in which every value looks like a date is read as timestamps.
#
# Packages: datasets 5.2.0, pyarrow 26.0.1 (its JSON reader does it; datasets builds on that reader).
# A good guess: JSON has no dates, so a quoted value stays the text that stands there.
# Seen: "2024-01-01" and "2024-01-01T10:00:00Z" become timestamp[s]; the spelling is lost, the Z too, and class
# names such as "2024-01-01" come out as datetime objects. One other value ("n/a") anywhere in the column keeps all of
# it text, so two files of one data set can differ in type.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import datetime
import json
import sys

import datasets
import pyarrow.json

folder = sys.argv[1]


def load(name, labels):
    path = f"{folder}/{name}.jsonl"
    with open(path, "w") as file:
        file.writelines(json.dumps({"text": "a film", "label": label}) + "\n" for label in labels)
    return path, datasets.load_dataset("json", data_files=path, split="train")


path, days = load("days", ["2024-01-01", "2024-01-02"])
print("days:", days.features["label"], days["label"][:])
assert str(pyarrow.json.read_json(path).schema.field("label").type) == "timestamp[s]"
assert days["label"][0] == datetime.datetime(2024, 1, 1)

_, zoned = load("zoned", ["2024-01-01T10:00:00Z", "2024-01-01 10:00:00"])
print("two spellings of one time:", zoned["label"][:])
assert zoned["label"][0] == zoned["label"][1] == datetime.datetime(2024, 1, 1, 10)

_, other = load("other", ["2024-01-01", "n/a"])
print("with one other value:", other.features["label"], other["label"][:])
assert other["label"][:] == ["2024-01-01", "n/a"]
print("as recorded")
PYTHON
