"""The processor, as far as it changes what integer arithmetic gives and how fast it is."""

import platform
from pathlib import Path

_SETS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve")
"""Instruction sets that onnxruntime chooses between, as Linux spells them."""


def processor() -> dict[str, str]:
    """Return `name` and `instructions` of the processor; instructions are known on Linux alone."""
    about: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            key, _, value = line.partition(":")
            about.setdefault(key.strip().lower(), value.strip())
    except OSError:
        pass
    name = about.get("model name") or platform.processor() or platform.machine()
    flags = set((about.get("flags") or about.get("features") or "").split())
    return {"name": name, "instructions": " ".join([platform.machine(), *(one for one in _SETS if one in flags)])}
