"""Settings of textbooks, one model for each kind.

A kind that is not in `CONFIGS` brings its own settings: `TEXTBOOKS` finds it by name, see `config_class`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, SerializeAsAny, TypeAdapter, model_validator

from hornbook.errors import HornbookError
from hornbook.recipe.settings import NOT_IN_KEY, Count, LanguageName, Name, PathText, Seed, Settings, Share
from hornbook.registry import Registry

__all__ = [
    "CHAIN",
    "CONFIGS",
    "TEXTBOOKS",
    "AnchoredConfig",
    "AnyTextbook",
    "AugmentedConfig",
    "ChainConfig",
    "CombinedConfig",
    "ContextualizedConfig",
    "GeneralConfig",
    "ImportanceConfig",
    "RelatedConfig",
    "RetrievedConfig",
    "SampleConfig",
    "TaskTextConfig",
    "TextbookConfig",
    "UnionConfig",
    "config_class",
]


class TextbookConfig(Settings):
    """Settings that every kind of textbook has."""

    kind: str
    """The kind of textbook."""
    contamination: Literal["remove", "keep"] = "remove"
    """Units that contain a dev or test text of the task: `remove` them, or `keep` and only count them."""
    language: LanguageName | None = Field(default=None, json_schema_extra=NOT_IN_KEY)
    """Language of the task, see `terms.language`; a corpus of another is refused. Default: that of the recipe, or of
    the corpus, else english."""


class RetrievedConfig(TextbookConfig):
    """Settings of textbooks that retrieve units for the task's texts (anchors)."""

    k: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Units to retrieve for each anchor; `auto` picks k so that about `share` of the corpus is retrieved."""
    share: Share = 0.05
    """For `k: auto`: target fraction of the corpus to retrieve."""
    min_units: Count = Field(default=50_000, ge=1)
    """For `k: auto`: minimum number of distinct units to retrieve."""
    k1: float = Field(default=1.2, ge=0)
    """BM25's term frequency saturation."""
    b: Share = 0.75
    """BM25's length normalization."""
    keywords: Literal["rake", "all"] = "rake"
    """Query terms of an anchor: `rake`: words of its best key phrases; `all`: every word but stop words."""
    phrases: Count = Field(default=20, ge=1)
    """For `keywords: rake`: number of RAKE phrases in a query (Yao et al. 2022: 20)."""


class ContextualizedConfig(RetrievedConfig):
    """Units that BM25 retrieves for the keywords of each anchor (paper, section 2.1)."""

    kind: Literal["contextualized"] = "contextualized"
    """`contextualized`: corpus units retrieved for the task's own texts."""
    proportion: float = Field(default=1.0, gt=0, le=1)
    """Keep this fraction of the textbook: best ranks first, ties by score (paper, Figure 2)."""


class RelatedConfig(RetrievedConfig):
    """Pairs of units that the same anchor retrieves, for sentence-pair tasks."""

    kind: Literal["related"] = "related"
    """`related`: pairs of corpus units retrieved for the same text, for sentence-pair tasks."""
    k: Annotated[int, Field(ge=2)] | Literal["auto"] = 4
    """Units to retrieve for each anchor; lower ranks make less related pairs. `auto` picks k so that about `share` of
    the corpus is retrieved."""


class AnchoredConfig(RetrievedConfig):
    """Each text of the task beside the units retrieved for it, for sentence-pair tasks."""

    kind: Literal["anchored"] = "anchored"
    """`anchored`: each text of the task beside the corpus units retrieved for it, for sentence-pair tasks."""
    k: Annotated[int, Field(ge=1)] | Literal["auto"] = 4
    """Units to retrieve for each anchor; lower ranks make less related pairs. `auto` picks k so that about `share` of
    the corpus is retrieved."""


class SampleConfig(TextbookConfig):
    """Settings of textbooks that sample the corpus."""

    units: Count | None = Field(default=None, ge=1)
    """Sample size in units. Without `units`, `tokens` and `bytes`: the size of the recipe's contextualized textbook,
    or of `--like`."""
    tokens: Count | None = Field(default=None, ge=1)
    """Sample size in tokens (Unicode words and punctuation marks), instead of `units`."""
    bytes: Count | None = Field(default=None, ge=1)
    """Sample size in bytes of text, instead of `units`."""
    sources: tuple[str, ...] | None = None
    """Names of the sources to sample; default: all."""
    seed: Seed = 0
    """Random seed."""

    @property
    def sized(self) -> bool:
        """Whether a size is set."""
        return any(size is not None for size in (self.units, self.tokens, self.bytes))

    @model_validator(mode="after")
    def _check_size(self) -> "SampleConfig":
        if sum(size is not None for size in (self.units, self.tokens, self.bytes)) > 1:
            raise ValueError("give one of units, tokens and bytes")
        return self


class GeneralConfig(SampleConfig):
    """A uniform random sample of the corpus."""

    kind: Literal["general"] = "general"
    """`general`: a uniform random sample of the corpus or of some sources."""


class ImportanceConfig(SampleConfig):
    """A sample weighted by how likely n-grams are in the task's texts, relative to the corpus (DSIR, Xie et al.
    2023)."""

    kind: Literal["importance"] = "importance"
    """`importance`: importance resampling of the corpus by hashed n-grams (DSIR)."""
    ngrams: Count = Field(default=2, ge=1, le=4)
    """Maximum n-gram length, in words."""
    buckets: Count = Field(default=10_000, ge=2)
    """Number of hash buckets for n-grams."""


class AugmentedConfig(TextbookConfig):
    """The task's own texts with words replaced by likely ones (TinyBERT, Jiao et al. 2020; the paper's TaskDA)."""

    kind: Literal["augmented"] = "augmented"
    """`augmented`: the task's own texts and variants of them with words replaced."""
    mode: Literal["clean", "reference"] = "clean"
    """`reference`: reproduce the quirks of TinyBERT's script; `clean`: without them."""
    model: PathText = Field(default="google-bert/bert-base-uncased", json_schema_extra=NOT_IN_KEY)
    """Masked language model that proposes words: a folder or hub name."""
    vectors: PathText | None = Field(default=None, json_schema_extra=NOT_IN_KEY)
    """Word vectors as text (GloVe, word2vec; also .gz, .zst), for words of several tokens. Without it these words
    are not replaced."""
    vector_rows: Count = Field(default=100_000, ge=1)
    """Maximum number of vectors to read."""
    variants: Count = Field(default=20, ge=1)
    """Variants per text (TinyBERT: 30 for CoLA, MRPC, STS-B, RTE; 20 for SST-2, QNLI; 10 for MNLI, QQP)."""
    candidates: Count = Field(default=15, ge=1)
    """Candidate replacements per word."""
    probability: Share = 0.4
    """Probability of replacing a word."""
    max_length: Count = Field(default=512, ge=8)
    """Maximum tokens per text that the model reads, or its own limit if smaller; words past it are not replaced
    (except by `vectors`)."""
    seed: Seed = 0
    """Random seed."""


class TaskTextConfig(TextbookConfig):
    """The task's own training texts."""

    kind: Literal["task"] = "task"
    """`task`: the task's own training texts."""


class CombinedConfig(TextbookConfig):
    """Settings of textbooks that are made of other textbooks."""

    books: tuple[Name, ...] = Field(min_length=2, json_schema_extra=NOT_IN_KEY)
    """Names of textbooks of the same recipe."""

    @model_validator(mode="after")
    def _check_books(self) -> "CombinedConfig":
        if len(set(self.books)) < len(self.books):
            raise ValueError("books has a name twice")
        return self


class UnionConfig(CombinedConfig):
    """Several textbooks shuffled together."""

    kind: Literal["union"] = "union"
    """`union`: several textbooks shuffled together, without duplicates."""
    seed: Seed = 0
    """Random seed."""


class ChainConfig(CombinedConfig):
    """Several textbooks in sequence: a student is distilled on the first, then on the next."""

    kind: Literal["chain"] = "chain"
    """`chain`: distil on one textbook, then on the next."""
    then: dict[str, Any] = Field(default={"learning_rate": 1e-4, "warmup": 0.06})
    """Settings of `distil` to change for the second and later textbooks (default: the paper's for augmented text)."""


_MODELS: tuple[type[TextbookConfig], ...] = (
    ContextualizedConfig,
    RelatedConfig,
    AnchoredConfig,
    GeneralConfig,
    ImportanceConfig,
    AugmentedConfig,
    TaskTextConfig,
    UnionConfig,
    ChainConfig,
)
CONFIGS = {str(model.model_fields["kind"].default): model for model in _MODELS}
"""The settings of hornbook's own kinds, by kind. A chain is a recipe's sequence of textbooks, not one to build."""
CHAIN = "chain"

TEXTBOOKS: Registry[Any] = Registry(
    "textbook kind",
    "hornbook.textbooks",
    {
        "contextualized": "hornbook.textbook.kinds.contextualized:KIND",
        "related": "hornbook.textbook.kinds.related:KIND",
        "anchored": "hornbook.textbook.kinds.anchored:KIND",
        "general": "hornbook.textbook.kinds.general:KIND",
        "importance": "hornbook.textbook.kinds.importance:KIND",
        "augmented": "hornbook.textbook.kinds.augmented:KIND",
        "task": "hornbook.textbook.kinds.task:KIND",
        "union": "hornbook.textbook.kinds.union:KIND",
    },
)
"""The kinds of textbook that can be built, each a `hornbook.textbook.TextbookKind`."""


def config_class(kind: str) -> type[TextbookConfig]:
    """Return the settings class of a kind.

    Args:
        kind: a kind of hornbook or one that an installed package adds.

    Returns:
        a subclass of `TextbookConfig`.

    Raises:
        HornbookError: the kind is unknown, or the package that provides it is broken.
    """
    if kind in CONFIGS:
        return CONFIGS[kind]
    if kind not in TEXTBOOKS:
        raise HornbookError(f"there is no textbook kind {kind!r}; the kinds are {', '.join([*TEXTBOOKS, CHAIN])}")
    model = getattr(TEXTBOOKS[kind], "config", None)
    if not (isinstance(model, type) and issubclass(model, TextbookConfig)):
        raise HornbookError(f"textbook kind {kind!r}: its entry point must name a hornbook.textbook.TextbookKind")
    return model


@lru_cache
def _adapter(model: type[TextbookConfig]) -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(dict[str, model])  # type: ignore[valid-type]


def _validated(value: Any) -> TextbookConfig:
    """Validate settings with the model of their kind."""
    if isinstance(value, TextbookConfig):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("give a mapping of settings")
    if "kind" not in value:
        raise ValueError(f"kind is missing; set it to {', '.join(list(CONFIGS)[:-1])} or {CHAIN}")
    kind = str(value["kind"])
    try:
        model = config_class(kind)
    except HornbookError as error:
        raise ValueError(str(error)) from None
    # Validated under its kind, so that the location of an error names it: `load` lists the keys of that kind.
    config: TextbookConfig = _adapter(model).validate_python({kind: value})[kind]
    return config


AnyTextbook = SerializeAsAny[Annotated[TextbookConfig, PlainValidator(_validated)]]
"""A textbook of a recipe, of any kind."""
