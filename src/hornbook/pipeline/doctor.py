"""What a report of a fault needs to say of the machine and the installation, as one page of text."""

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from hornbook import kernels
from hornbook.errors import HornbookError
from hornbook.machine import hub
from hornbook.machine.disk import free, megabytes, size_of
from hornbook.machine.load import cores, cpu_limit
from hornbook.machine.processor import processor

_PACKAGES = (
    *("hornbook", "torch", "transformers", "tokenizers", "safetensors", "accelerate", "datasets", "huggingface_hub"),
    *("numpy", "pyarrow", "pydantic", "filelock", "onnx", "onnxruntime", "scikit-learn", "ray", "altair"),
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "HORNBOOK_KERNELS", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES")


def examine(runs: Path | str = "runs") -> dict[str, str]:
    """Return versions, machine, compiled core, hub and caches; nothing in it names a user or a secret.

    Args:
        runs: the folder of runs, for the free space on its disk.

    Returns:
        a line by what it is about.
    """
    found = {"system": f"{platform.platform()}, Python {platform.python_version()}"}
    found |= {"packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES if _version(name))}
    found |= _machine(Path(runs)) | _graphics()
    found["compiled core"] = _core()
    found["hub"] = _hub()
    found["caches"] = _caches()
    set_ = [f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ]
    found["environment"] = ", ".join(set_) or "none of its variables are set"
    found["file names"] = f"{sys.getfilesystemencoding()}, text {'UTF-8' if sys.flags.utf8_mode else 'of the locale'}"
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _machine(runs: Path) -> dict[str, str]:
    about, memory, limit = processor(), psutil.virtual_memory(), cpu_limit()
    return {
        "processor": f"{about['name']} ({about['instructions']})",
        "cores": f"{cores()} to run on" + (f", limited to {limit:g}" if limit is not None else ""),
        "memory": f"{megabytes(memory.total)}, {megabytes(memory.available)} free",
        "disk": f"{megabytes(free(runs.absolute()))} free for runs, {megabytes(free(Path.home()))} for caches",
    }


def _graphics() -> dict[str, str]:
    try:
        import torch
    except ImportError:
        return {"GPU": "hornbook[train] is not installed"}
    if not torch.cuda.is_available():
        return {"GPU": "none", "torch threads": str(torch.get_num_threads())}
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    return {"GPU": f"{', '.join(names)} (CUDA {torch.version.cuda}, {bf16})"}


def _core() -> str:
    try:
        core = kernels.compiled()
    except HornbookError as error:
        return str(error)
    return "missing: the references in Python run" if core is None else "there"


def _hub() -> str:
    try:
        with hub.briefly(), hub.asking("models", "bert-base-uncased"):
            return "can be reached" if hub.answers() else f"not used: {hub.why_not()}"
    except HornbookError as error:
        return str(error)


def _caches() -> str:
    from datasets import config
    from huggingface_hub import constants

    places: dict[str, Any] = {
        "hub": constants.HF_HUB_CACHE,
        "data sets": config.HF_DATASETS_CACHE,
        "hornbook": Path.home() / ".cache" / "hornbook",
    }
    return ", ".join(f"{name} {_size(Path(place))}" for name, place in places.items())


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "none"
    return f"{megabytes(size_of(folder))}{'' if shutil.disk_usage(folder).free > 1e9 else ' (disk nearly full)'}"
