#!/usr/bin/env bash
# Importing onnxruntime's quantizer for 4 and 8 bits sets up logging for the whole process.
#
# Packages: onnxruntime 1.32.0, onnx 1.23.2, onnx_ir 1.1.0 (the quantizer imports it, onnxruntime does not require it).
# A good guess: a library logs to a logger of its own, and leaves levels and handlers to the application.
# Seen: import onnxruntime.quantization.matmul_nbits_quantizer calls logging.basicConfig with level INFO. INFO lines of every
# other library appear on stderr from then on, and the application's own basicConfig, called later, does nothing: its level,
# format and file are ignored. onnxruntime and onnxruntime.quantization alone change nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 onnx_ir==1.1.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import importlib
import io
import logging
import sys
from pathlib import Path

importlib.import_module("onnxruntime.quantization")
assert logging.root.level == logging.WARNING
assert not logging.root.handlers

shown = io.StringIO()
with contextlib.redirect_stderr(shown):
    importlib.import_module("onnxruntime.quantization.matmul_nbits_quantizer")
    print("root logger:", logging.getLevelName(logging.root.level), logging.root.handlers)
    log = Path(sys.argv[1]) / "application.log"
    logging.basicConfig(filename=log, level=logging.WARNING)
    logging.getLogger("another.library").info("a detail")
print("on stderr:", shown.getvalue().strip())
print("the application's file:", "written" if log.exists() else "missing")
assert logging.root.level == logging.INFO
assert "another.library [INFO] - a detail" in shown.getvalue()
assert not log.exists()
print("as recorded")
PYTHON
