"""The recipe: one YAML file, one typed model; the docstring under a field is its help."""

from hornbook.recipe.data import CorpusConfig, TaskConfig
from hornbook.recipe.experiment import Experiment
from hornbook.recipe.load import (
    BOOKS,
    KINDS,
    load_experiment,
    load_recipe,
    parse_value,
    read_values,
    set_value,
    textbook_config,
    validate,
)
from hornbook.recipe.recipe import BASELINES, Recipe
from hornbook.recipe.settings import all_text
from hornbook.recipe.textbooks import (
    AugmentedConfig,
    ChainConfig,
    ContextualizedConfig,
    GeneralConfig,
    ImportanceConfig,
    RelatedConfig,
    RetrievedConfig,
    SampleConfig,
    SingleTextbookConfig,
    TaskTextConfig,
    TextbookConfig,
    UnionConfig,
)
from hornbook.recipe.training import (
    AdaptConfig,
    DistilConfig,
    EvaluateConfig,
    FamilyConfig,
    FinetuneConfig,
    StudentConfig,
    TeacherConfig,
    TrainingConfig,
)

__all__ = [
    "BASELINES",
    "BOOKS",
    "KINDS",
    "AdaptConfig",
    "AugmentedConfig",
    "ChainConfig",
    "ContextualizedConfig",
    "CorpusConfig",
    "DistilConfig",
    "EvaluateConfig",
    "Experiment",
    "FamilyConfig",
    "FinetuneConfig",
    "GeneralConfig",
    "ImportanceConfig",
    "Recipe",
    "RelatedConfig",
    "RetrievedConfig",
    "SampleConfig",
    "SingleTextbookConfig",
    "StudentConfig",
    "TaskConfig",
    "TaskTextConfig",
    "TeacherConfig",
    "TextbookConfig",
    "TrainingConfig",
    "UnionConfig",
    "all_text",
    "load_experiment",
    "load_recipe",
    "parse_value",
    "read_values",
    "set_value",
    "textbook_config",
    "validate",
]
