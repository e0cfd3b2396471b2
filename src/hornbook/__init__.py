"""Make a small encoder for one task from a big fine-tuned one.

Each function takes its inputs, its settings (`hornbook.recipe`) and the folder to create, and returns the finished
artefact. Functions are imported when they are first used, so that `import hornbook` is quick.
"""

# ruff: noqa: F401 - the imports under TYPE_CHECKING are the public names

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hornbook.cli.new import write_recipe
    from hornbook.corpus import open_corpus
    from hornbook.corpus.build import build as build_corpus
    from hornbook.demo import quickstart
    from hornbook.errors import HornbookError
    from hornbook.evaluation.evaluate import evaluate
    from hornbook.experiment import run_experiment
    from hornbook.export.build import export_student
    from hornbook.inference.classifier import Classifier, Predictions, load_classifier
    from hornbook.inference.predict import predict_file
    from hornbook.labelling.label import label_file
    from hornbook.pipeline.run import run
    from hornbook.recipe import load_experiment, load_recipe
    from hornbook.report.page import write_report
    from hornbook.retrieval import keywords_of_all as extract_keywords
    from hornbook.retrieval import retrieve
    from hornbook.store import Artifact, load
    from hornbook.tasks import open_task
    from hornbook.tasks import prepare as prepare_task
    from hornbook.textbook import open_textbook
    from hornbook.textbook.build import build as build_textbook
    from hornbook.textbook.inspect.statistics import statistics as measure_textbooks
    from hornbook.textbook.inspect.view import view as view_textbook
    from hornbook.training.chain import distil_chain
    from hornbook.training.distil import distil
    from hornbook.training.finetune import adapt, finetune
    from hornbook.training.outputs import teacher_outputs

    __version__: str

# Public name -> where it is defined.
_DEFINED_IN = {
    "Artifact": "hornbook.store:Artifact",
    "Classifier": "hornbook.inference.classifier:Classifier",
    "HornbookError": "hornbook.errors:HornbookError",
    "Predictions": "hornbook.inference.classifier:Predictions",
    "adapt": "hornbook.training.finetune:adapt",
    "build_corpus": "hornbook.corpus.build:build",
    "build_textbook": "hornbook.textbook.build:build",
    "distil": "hornbook.training.distil:distil",
    "distil_chain": "hornbook.training.chain:distil_chain",
    "evaluate": "hornbook.evaluation.evaluate:evaluate",
    "export_student": "hornbook.export.build:export_student",
    "extract_keywords": "hornbook.retrieval:keywords_of_all",
    "finetune": "hornbook.training.finetune:finetune",
    "label_file": "hornbook.labelling.label:label_file",
    "load": "hornbook.store:load",
    "load_classifier": "hornbook.inference.classifier:load_classifier",
    "load_experiment": "hornbook.recipe:load_experiment",
    "load_recipe": "hornbook.recipe:load_recipe",
    "measure_textbooks": "hornbook.textbook.inspect.statistics:statistics",
    "open_corpus": "hornbook.corpus:open_corpus",
    "open_task": "hornbook.tasks:open_task",
    "open_textbook": "hornbook.textbook:open_textbook",
    "predict_file": "hornbook.inference.predict:predict_file",
    "prepare_task": "hornbook.tasks:prepare",
    "quickstart": "hornbook.demo:quickstart",
    "retrieve": "hornbook.retrieval:retrieve",
    "run": "hornbook.pipeline.run:run",
    "run_experiment": "hornbook.experiment:run_experiment",
    "teacher_outputs": "hornbook.training.outputs:teacher_outputs",
    "view_textbook": "hornbook.textbook.inspect.view:view",
    "write_recipe": "hornbook.cli.new:write_recipe",
    "write_report": "hornbook.report.page:write_report",
}
# Names of version 0.1.0; each warns, and is removed in the version after.
_RENAMED = {
    "corpus_build": "build_corpus",
    "new": "write_recipe",
    "prepare": "prepare_task",
    "textbook_build": "build_textbook",
}

__all__ = list(_DEFINED_IN)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "__version__":
        return import_module("importlib.metadata").version("hornbook")
    if name in _RENAMED:
        warnings.warn(f"hornbook.{name} is now hornbook.{_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _DEFINED_IN:
        raise AttributeError(f"module 'hornbook' has no attribute {name!r}")
    from hornbook.machine.extras import explain_missing_extra

    module, _, attribute = _DEFINED_IN[name].partition(":")
    with explain_missing_extra(f"hornbook.{name}"):
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
