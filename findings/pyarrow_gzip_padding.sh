#!/usr/bin/env bash
# gzip: pyarrow refuses a file that ends in zero bytes; gzip and Python ignore them.
#
# Package: pyarrow 26.0.1.
# A good guess: the same text as Python's gzip module reads. Tapes and block devices pad files with zeros, and the gzip
# program reads such files without a word.
# Seen: pyarrow.input_stream raises an OSError (zlib inflate failed) for the file that both others read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import gzip
import subprocess
import sys

import pyarrow as pa

path = f"{sys.argv[1]}/padded.gz"
with open(path, "wb") as file:
    file.write(gzip.compress(b"a text\n") + bytes(512))
with gzip.open(path) as file:
    assert file.read() == b"a text\n"
assert subprocess.run(["gzip", "-dc", path], capture_output=True).stdout == b"a text\n"
try:
    pa.input_stream(path, compression="gzip").read()
    raise SystemExit("changed: pyarrow reads it")
except OSError as error:
    print("pyarrow:", error)
print("as recorded")
PYTHON
