#!/usr/bin/env bash
# cast_column to ClassLabel takes a text that is no class name for an index, if it can be read as a number.
#
# Package: datasets 5.2.0.
# A good guess: a label that is not among the names is refused.
# Seen: with the names ["1", "0"] the text "1" is class 0, but "01" is class 1, which is named "0": two spellings of
# one code end in opposite classes. With the names ["negative", "positive"] the text "01" is "positive".
# Only a number outside the range, or a word, is refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - <<'PYTHON'
from datasets import ClassLabel, Dataset


def cast(labels, names):
    column = Dataset.from_dict({"label": labels}).cast_column("label", ClassLabel(names=names))
    return [names[i] for i in column["label"]]


found = cast(["1", "0", "01"], ["1", "0"])
print('["1", "0", "01"] with the names ["1", "0"]:', found)
assert found == ["1", "0", "0"]
found = cast(["negative", "01"], ["negative", "positive"])
print('["negative", "01"] with the names ["negative", "positive"]:', found)
assert found == ["negative", "positive"]
for strange in ("2", "one"):
    try:
        cast([strange], ["1", "0"])
    except ValueError as error:
        print(repr(strange), "is refused:", error)
    else:
        raise AssertionError(strange)
print("as recorded")
PYTHON
