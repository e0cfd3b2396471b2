#!/usr/bin/env bash
# Dataset.class_encode_column gives integer labels other numbers as soon as there are eleven classes.
#
# Package: datasets 5.2.0.
# A good guess: labels that are 0, 1 ... n-1 already keep their numbers.
# Seen: the names are sorted as text, so with eleven classes 10 stands before 2: row label 2 becomes 3, 10 becomes 2.
# A model that was trained on the original numbers is then scored against others; with ten classes nothing happens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - <<'PYTHON'
from datasets import Dataset

for classes in (10, 11):
    labels = list(range(classes))
    encoded = Dataset.from_dict({"label": labels}).class_encode_column("label")
    print(classes, "classes:", encoded.features["label"].names, encoded["label"][:])
    assert (encoded["label"][:] == labels) == (classes == 10)
assert encoded.features["label"].names == ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
assert encoded["label"][2] == 3
assert encoded["label"][10] == 2
print("as recorded")
PYTHON
