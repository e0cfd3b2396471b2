"""Make a small encoder for one task from a big fine-tuned one.

The functions have the names of the commands; each takes its inputs, its settings and the folder to make, and
returns the finished artefact. They are loaded when they are first used, so that `import hornbook` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hornbook.cli.new import write_recipe as new
    from hornbook.corpus.build import build as corpus_build
    from hornbook.demo import quickstart
    from hornbook.errors import HornbookError
    from hornbook.evaluation.evaluate import evaluate
    from hornbook.pipeline.run import run
    from hornbook.recipe import load_recipe
    from hornbook.store import Artifact, load
    from hornbook.tasks import prepare
    from hornbook.textbook.build import build as textbook_build
    from hornbook.training.distil import distil
    from hornbook.training.finetune import adapt, finetune

_WHERE = {
    "Artifact": ("hornbook.store", "Artifact"),
    "HornbookError": ("hornbook.errors", "HornbookError"),
    "adapt": ("hornbook.training.finetune", "adapt"),
    "corpus_build": ("hornbook.corpus", "build"),
    "distil": ("hornbook.training.distil", "distil"),
    "evaluate": ("hornbook.evaluation.evaluate", "evaluate"),
    "finetune": ("hornbook.training.finetune", "finetune"),
    "load": ("hornbook.store", "load"),
    "load_recipe": ("hornbook.recipe", "load_recipe"),
    "new": ("hornbook.cli.new", "write_recipe"),
    "prepare": ("hornbook.tasks", "prepare"),
    "quickstart": ("hornbook.demo", "quickstart"),
    "run": ("hornbook.pipeline", "run"),
    "textbook_build": ("hornbook.textbook", "build"),
}

__all__ = [
    "Artifact",
    "HornbookError",
    "adapt",
    "corpus_build",
    "distil",
    "evaluate",
    "finetune",
    "load",
    "load_recipe",
    "new",
    "prepare",
    "quickstart",
    "run",
    "textbook_build",
]


def __getattr__(name: str) -> Any:
    """Load a public function when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module 'hornbook' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
