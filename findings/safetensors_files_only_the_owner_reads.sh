#!/usr/bin/env bash
# safetensors writes files with mode 0600, whatever the umask.
#
# Packages: safetensors 0.8.0, numpy 2.4.6.
# A good guess: save_file makes a file as open() does, so with umask 022 everybody can read it.
# Seen: 0600, also where an older file with other permissions is replaced. A model folder that a trainer made cannot be
# loaded by a server that runs as another user, though its config.json beside it can be read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import os
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

os.umask(0o022)
folder = Path(sys.argv[1])
weights, other = folder / "model.safetensors", folder / "config.json"
other.write_text("{}")
save_file({"weight": np.zeros(3)}, weights)
modes = [path.stat().st_mode & 0o777 for path in (weights, other)]
weights.chmod(0o644)
save_file({"weight": np.ones(3)}, weights)
modes.append(weights.stat().st_mode & 0o777)
print("model.safetensors %o, config.json %o, written again over 644: %o" % tuple(modes))
assert modes == [0o600, 0o644, 0o600]
print("as recorded")
PYTHON
