#!/usr/bin/env bash
# A BigBird classifier gives a long text another answer once it has seen a short one.
#
# Packages: transformers 5.23.0, torch 2.13.0.
# A good guess: a model in eval mode is a function of its input.
# Seen: with its default block-sparse attention, the first batch that is too short for its blocks puts full attention into
# the model for good. A long text then gets other hidden states than before, in the same process with the same weights,
# so scores depend on the order of the texts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==5.23.0 tokenizers==0.23.3 numpy==2.4.6
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - <<'PYTHON'
import torch
from transformers import BigBirdConfig, BigBirdModel

torch.manual_seed(0)
config = BigBirdConfig(
    vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=256, block_size=4, num_random_blocks=1, initializer_range=0.3,
)
model = BigBirdModel(config).eval()
long, short = torch.randint(5, 100, (1, 128)), torch.randint(5, 100, (1, 8))
with torch.inference_mode():
    print("attention:", model.config.attention_type)
    before = model(long).last_hidden_state
    again = model(long).last_hidden_state
    model(short)
    after = model(long).last_hidden_state
print("attention after a short text:", model.attention_type)
print("largest difference of the long text: twice before", f"{(again - before).abs().max():.1e},",
      "before and after the short one", f"{(after - before).abs().max():.1e}")
assert torch.allclose(before, again, atol=1e-6)
assert (after - before).abs().max() > 0.05
assert model.attention_type == "original_full"
print("as recorded")
PYTHON
