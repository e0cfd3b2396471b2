"""The recipe: one YAML file, one typed model; the docstring under a field is its help."""

from hornbook.recipe.data import CorpusConfig, TaskConfig
from hornbook.recipe.experiment import Experiment
from hornbook.recipe.load import (
    load_experiment,
    load_recipe,
    parse_value,
    read_values,
    set_value,
    validate,
)
from hornbook.recipe.recipe import BASELINES, Recipe
from hornbook.recipe.settings import all_text
from hornbook.recipe.textbooks import (
    CONFIGS,
    TEXTBOOKS,
    AugmentedConfig,
    ChainConfig,
    CombinedConfig,
    ContextualizedConfig,
    GeneralConfig,
    ImportanceConfig,
    RelatedConfig,
    RetrievedConfig,
    SampleConfig,
    TaskTextConfig,
    TextbookConfig,
    UnionConfig,
    config_class,
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
    "CONFIGS",
    "TEXTBOOKS",
    "AdaptConfig",
    "AugmentedConfig",
    "ChainConfig",
    "CombinedConfig",
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
    "StudentConfig",
    "TaskConfig",
    "TaskTextConfig",
    "TeacherConfig",
    "TextbookConfig",
    "TrainingConfig",
    "UnionConfig",
    "all_text",
    "config_class",
    "load_experiment",
    "load_recipe",
    "parse_value",
    "read_values",
    "set_value",
    "validate",
]
