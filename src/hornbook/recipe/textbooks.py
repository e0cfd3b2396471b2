"""Settings of textbooks, a model for each kind."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hornbook.recipe.settings import NOT_IN_KEY, Count, Name, PathText, Seed, Settings, Share

__all__ = [
    "AugmentedConfig",
    "ChainConfig",
    "ContextualizedConfig",
    "GeneralConfig",
    "ImportanceConfig",
    "RelatedConfig",
    "RetrievedConfig",
    "SampleConfig",
    "SingleTextbookConfig",
    "TaskTextConfig",
    "TextbookConfig",
    "UnionConfig",
]


class BookConfig(Settings):
    """What every kind of textbook shares."""

    contamination: Literal["remove", "keep"] = "remove"
    """Units that hold a dev or test text of the task are removed, or kept and only counted."""


class RetrievedConfig(BookConfig):
    """What anchors draw from the corpus, and how much of it."""

    k: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Units retrieved for an anchor; `auto` picks k so that the units drawn are about `share` of the corpus."""
    share: Share = 0.05
    """For `k: auto`: the units drawn over the corpus's."""
    min_units: Count = Field(default=50_000, ge=1)
    """For `k: auto`: no fewer units are drawn than this."""
    k1: float = Field(default=1.2, ge=0)
    """BM25's saturation of term frequency."""
    b: Share = 0.75
    """BM25's normalisation by unit length."""
    keywords: Literal["rake", "all"] = "rake"
    """What of an anchor makes its query: `rake`: the terms of its best phrases; `all`: every word but stop words."""
    phrases: Count = Field(default=20, ge=1)
    """For `keywords: rake`: the best RAKE phrases of an anchor that make its query (Yao et al. 2022: 20)."""


class ContextualizedConfig(RetrievedConfig):
    """The units that BM25 finds for the keywords of each anchor (paper, section 2.1)."""

    kind: Literal["contextualized"] = "contextualized"
    """`contextualized`: what is found in the corpus for the task's own texts."""
    proportion: float = Field(default=1.0, gt=0, le=1)
    """Only this top share of the textbook: units of the best rank first, of equal ones those of the best score
    (paper, Figure 2)."""


class RelatedConfig(RetrievedConfig):
    """Pairs of units that the same anchor draws, for tasks of pairs."""

    kind: Literal["related"] = "related"
    """`related`: units that the same text of the task found, two and two: for tasks of pairs."""
    k: Annotated[int, Field(ge=2)] | Literal["auto"] = 4
    """Units retrieved for an anchor; the further down, the less two neighbours have in common. `auto` picks k so that
    the units drawn are about `share` of the corpus."""


class SampleConfig(BookConfig):
    """A part of the corpus of a size that is set."""

    units: Count | None = Field(default=None, ge=1)
    """How many units; neither this nor `tokens` nor `bytes`: as many as the recipe's contextualized textbook."""
    tokens: Count | None = Field(default=None, ge=1)
    """How many tokens, counted as Unicode words and single punctuation marks, instead of `units`."""
    bytes: Count | None = Field(default=None, ge=1)
    """How many bytes of text, instead of `units`."""
    sources: tuple[str, ...] | None = None
    """Draw only from the sources with these names."""
    seed: Seed = 0
    """Seed of the sample."""

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
    """A uniform seeded sample of the corpus."""

    kind: Literal["general"] = "general"
    """`general`: a uniform sample of the corpus, or of some of its sources."""


class ImportanceConfig(SampleConfig):
    """Units drawn by how much likelier their words are in the task than in the corpus (Xie et al. 2023, DSIR)."""

    kind: Literal["importance"] = "importance"
    """`importance`: importance resampling of the corpus by hashed n-grams."""
    ngrams: Count = Field(default=2, ge=1, le=4)
    """Words and runs of up to so many words count."""
    buckets: Count = Field(default=10_000, ge=2)
    """N-grams are counted by hash in so many places."""


class AugmentedConfig(BookConfig):
    """The task's own texts with words replaced by likely ones (TinyBERT, Jiao et al. 2020; the paper's TaskDA)."""

    kind: Literal["augmented"] = "augmented"
    """`augmented`: the task's own texts and variants of them."""
    mode: Literal["clean", "reference"] = "clean"
    """`reference`: with the quirks of TinyBERT's own script; `clean`: without."""
    model: PathText = Field(default="google-bert/bert-base-uncased", json_schema_extra=NOT_IN_KEY)
    """The masked language model that proposes words: a folder or a hub name."""
    vectors: PathText | None = Field(default=None, json_schema_extra=NOT_IN_KEY)
    """Word vectors as text (GloVe, word2vec; also .gz, .zst), for words of several pieces; without them such words
    stay."""
    vector_rows: Count = Field(default=100_000, ge=1)
    """Only the first rows of the vectors are read."""
    variants: Count = Field(default=20, ge=1)
    """Variants of a text (TinyBERT: 30 for CoLA, MRPC, STS-B, RTE; 20 for SST-2, QNLI; 10 for MNLI, QQP)."""
    candidates: Count = Field(default=15, ge=1)
    """Words that may stand for a word."""
    probability: Share = 0.4
    """With this probability a word is replaced in a variant."""
    max_length: Count = Field(default=512, ge=8)
    """Word pieces of a text that the model reads, or fewer if it cannot read so many; of the words beyond, those that
    it would be asked for are not replaced."""
    seed: Seed = 0
    """Seed of the variants."""


class TaskTextConfig(BookConfig):
    """The task's own texts and nothing else."""

    kind: Literal["task"] = "task"
    """`task`: the task's own texts."""


class _CombinedConfig(BookConfig):
    books: tuple[Name, ...] = Field(min_length=2, json_schema_extra=NOT_IN_KEY)
    """Names of textbooks of the same recipe."""

    @model_validator(mode="after")
    def _check_books(self) -> "_CombinedConfig":
        if len(set(self.books)) < len(self.books):
            raise ValueError("books holds a name twice")
        return self


class UnionConfig(_CombinedConfig):
    """Several textbooks shuffled together."""

    kind: Literal["union"] = "union"
    """`union`: several textbooks shuffled together, each unit once."""
    seed: Seed = 0
    """Seed of the order."""


class ChainConfig(_CombinedConfig):
    """Several textbooks one after another: a student is distilled on the first, then on the next."""

    kind: Literal["chain"] = "chain"
    """`chain`: a student is distilled on one textbook, then on the next."""
    then: dict[str, Any] = Field(default={"learning_rate": 1e-4, "warmup": 0.06})
    """Settings of distillation on the second textbook and those after it, where they differ from the first (by
    default the paper's for augmented text)."""


SingleTextbookConfig = (
    ContextualizedConfig
    | GeneralConfig
    | ImportanceConfig
    | RelatedConfig
    | AugmentedConfig
    | TaskTextConfig
    | UnionConfig
)
TextbookConfig = Annotated[SingleTextbookConfig | ChainConfig, Field(discriminator="kind")]
