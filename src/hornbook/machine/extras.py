"""Optional dependencies: the extra of the package that installs a missing module."""

from collections.abc import Iterator
from contextlib import contextmanager

from hornbook.errors import HornbookError

_MODULES = {
    "train": (
        "accelerate",
        "google",  # protobuf
        "safetensors",
        "scipy",
        "sentencepiece",
        "sklearn",
        "tokenizers",
        "torch",
        "transformers",
    ),
    "export": ("onnx", "onnxruntime", "onnxscript"),
    "report": ("altair", "jinja2", "markupsafe", "vl_convert"),
    "ray": ("ray",),
    "label": ("openai",),
    "tensorboard": ("tensorboard",),
}
EXTRAS = {module: extra for extra, modules in _MODULES.items() for module in modules}


@contextmanager
def explain_missing_extra(name: str) -> Iterator[None]:
    """Replace the error of an import that needs an extra of the package by one that says how to install it.

    Args:
        name: what is run, such as "hornbook finetune"; the message starts with it.

    Raises:
        HornbookError: a module of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise HornbookError(f"{name} needs hornbook[{extra}]: pip install 'hornbook[{extra}]'") from None
