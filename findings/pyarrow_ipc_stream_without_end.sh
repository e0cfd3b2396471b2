#!/usr/bin/env bash
# Arrow IPC streams: the marker at the end is optional, so a stream that lost its last batches reads as a shorter table.
#
# Package: pyarrow 26.0.1.
# A good guess: a file that was cut is refused, as Arrow's file format and Parquet do.
# Seen: a stream without its end marker is valid and reads without an error; so does one cut after its first batch, with
# fewer rows. The file format refuses both. A reader that must know has to look for the marker itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" <<'PYTHON'
import io

import pyarrow as pa

batch = pa.record_batch({"text": ["one", "two"]})
ends = []


def written(kind):
    file = io.BytesIO()
    with kind(file, batch.schema) as writer:
        for _ in range(2):
            writer.write_batch(batch)
            ends.append(file.tell())
    return file.getvalue()


stream = written(pa.ipc.new_stream)
first, second = ends
rows = [pa.ipc.open_stream(stream[:end]).read_all().num_rows for end in (len(stream), second, first)]
print("rows of the stream, of it without the marker, of it without its second batch:", rows)
assert rows == [4, 4, 2]
whole = written(pa.ipc.new_file)
try:
    pa.ipc.open_file(whole[: ends[2]]).read_all()
    raise SystemExit("changed: a cut file is read")
except pa.ArrowInvalid as error:
    print("a cut file:", error)
print("as recorded")
PYTHON
