"""The TF-IDF baseline: a linear model on word counts, which any student should beat."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.evaluation.record import record, scored_splits
from hornbook.machine.progress import progress
from hornbook.metrics import score_of
from hornbook.recipe import EvaluateConfig
from hornbook.store import Artifact, Destination, StageContext, load, make
from hornbook.tasks import Task, kind_version, open_task
from hornbook.tasks.kinds import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, KINDS, SQUARED_ERROR
from hornbook.terms.plain import normalise

VERSION = 3
STRENGTHS = (0.1, 1.0, 10.0)
"""Inverse strengths of the penalty (scikit-learn's C, ridge's 1 / alpha); all are tried, the best on dev is kept."""
_MANY_ROWS = 1000
_MOST_FEATURES = 200_000
_NEVER = -1e3  # a logit whose probability is 0; that of its negative is 1


def tfidf_baseline(task: Artifact | Path | str, out: Destination, config: EvaluateConfig | None = None) -> Artifact:
    """Fit logistic regression on TF-IDF weights of words and word bigrams, and score it.

    Term frequencies are sublinear. If train has over 1,000 rows, words in only one text are left out; the 200,000
    most frequent are kept. A pair of texts has the weights of both and their products, which show what they share.
    Several labels get one regression each; scores get ridge regression.

    Args:
        task: a prepared task.
        out: the artefact's folder.
        config: the number of sentences for the measurement of speed.

    Returns:
        the artefact, stage "evaluation", as from `evaluate`; its speed includes the counting of words.
        `info["strength"]` is the best of `STRENGTHS` on dev.

    Raises:
        HornbookError: the texts of train have no words to count.
    """
    config = config or EvaluateConfig()
    task = task if isinstance(task, Artifact) else load(task, "task")

    def build(context: StageContext) -> None:
        _build(context, open_task(task), config)

    return make(
        out,
        stage="evaluation",
        version=VERSION,
        config={"floor": "tf-idf", "speed_sentences": config.speed_sentences, **kind_version(task)},
        inputs={"task": task.key},
        build=build,
    )


def _build(context: StageContext, task: Task, config: EvaluateConfig) -> None:
    featurise = features(task)
    train, dev = featurise("train", None), featurise("dev", None)
    fitted: list[tuple[float, float, Any]] = []
    with progress("fit the TF-IDF baseline", len(STRENGTHS), "fits") as counter:
        for strength in STRENGTHS:
            model = _fitted(task, train, strength)
            found = KINDS[task.kind].predicted(outputs_of(task, model, dev))
            score = score_of(task.kind, task.metric, task.gold("dev"), found)
            fitted.append((score, strength, model))
            counter.advance()
    _, strength, model = max(fitted, key=lambda one: one[0])
    record(context, task, {split: outputs_of(task, model, featurise(split, None)) for split in scored_splits(task)})
    context.info |= {"strength": strength, "share_cut": dict.fromkeys(scored_splits(task), 0.0)}
    parameters = _parameters(model)
    context.counts = {
        "parameters": parameters,
        "parameters_without_embeddings": parameters,
        "weight_bytes": 8 * parameters,
    }
    started = time.perf_counter()
    sentences = outputs_of(task, model, featurise("dev", config.speed_sentences))
    context.measured["device"] = "cpu"
    context.measured["sentences_per_second"] = {"model": round(len(sentences) / (time.perf_counter() - started), 1)}


def features(task: Task) -> Callable[[str, int | None], Any]:
    """Fit TF-IDF to the words and word pairs of train.

    Args:
        task: the task, with one or two texts in a row.

    Returns:
        a function from a split and a number of rows (None: all) to a sparse matrix, shape (rows, features).

    Raises:
        HornbookError: the texts of train contain no word that can be counted.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    train = task.split("train")
    columns = ["text", "text_pair"] if task.pair else ["text"]
    words = TfidfVectorizer(
        sublinear_tf=True,
        ngram_range=(1, 2),
        min_df=2 if len(train) > _MANY_ROWS else 1,
        max_features=_MOST_FEATURES,
        token_pattern=r"(?u)\b\w+\b",  # noqa: S106 - no password
        preprocessor=_preprocessed,
    )
    texts = [text for name in columns for text in train[name].to_pylist()]
    try:
        words.fit(texts)
    except ValueError:  # scikit-learn's for an empty vocabulary
        raise HornbookError(
            f"{task.artifact.path}: the texts of train have no words to count, or none that occurs in two of them; "
            "leave out the baseline tf-idf"
        ) from None

    def of_split(split: str, rows: int | None) -> Any:
        table = task.split(split).slice(0, rows)
        parts = [words.transform(table[name].to_pylist()) for name in columns]
        return hstack([*parts, parts[0].multiply(parts[1])], format="csr") if task.pair else parts[0]

    return of_split


def _preprocessed(text: str) -> str:
    return normalise(text).lower()


def outputs_of(task: Task, model: Any, found: Any) -> NDArray[np.float64]:
    """Return a fitted model's outputs as logits, shape (rows, labels); scores for a regression.

    Args:
        task: the task.
        model: a fitted estimator of `_ESTIMATORS`.
        found: features, shape (rows, features).

    Returns:
        float64, shape (rows, labels); for a regression (rows, 1).
    """
    return np.asarray(_ESTIMATORS[KINDS[task.kind].loss].outputs(model, found, len(task.labels)), np.float64)


def _fitted(task: Task, found: Any, strength: float) -> Any:
    return _ESTIMATORS[KINDS[task.kind].loss].fit(found, task.gold("train"), strength)


def _fit_classes(found: Any, gold: NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000).fit(found, gold)


def _class_logits(model: Any, found: Any, labels: int) -> NDArray[np.float64]:
    decision = np.asarray(model.decision_function(found), np.float64)
    if decision.ndim == 1:
        # so that softmax gives the sigmoid of the decision
        decision = np.stack([-decision / 2, decision / 2], axis=1)
    outputs = np.full((len(decision), labels), _NEVER)
    outputs[:, model.classes_] = decision  # a label may be named and occur in no row
    return outputs


def _fit_labels(found: Any, gold: NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    one = LogisticRegression(C=strength, max_iter=1000)
    return OneVsRestClassifier(one).fit(found, gold.astype(np.int64))


def _label_logits(model: Any, found: Any, labels: int) -> NDArray[np.float64]:
    from scipy.special import logit

    # for a single label scikit-learn has two columns, "no" before "yes"
    shares = np.asarray(model.predict_proba(found), np.float64)[:, -labels:]
    return np.asarray(np.clip(logit(shares), _NEVER, -_NEVER))


def _fit_scores(found: Any, gold: NDArray[Any], strength: float) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1 / strength).fit(found, gold)


def _predicted_scores(model: Any, found: Any, labels: int) -> NDArray[np.float64]:
    return np.asarray(model.predict(found))[:, None]


@dataclass(frozen=True)
class _Estimator:
    """A linear model for one loss.

    Attributes:
        fit: takes features, gold labels and a strength, and returns a fitted scikit-learn model.
        outputs: takes that model, features and the number of labels, and returns logits, shape (rows, labels).
    """

    fit: Callable[[Any, NDArray[Any], float], Any]
    outputs: Callable[[Any, Any, int], NDArray[np.float64]]


_ESTIMATORS = {
    CROSS_ENTROPY: _Estimator(_fit_classes, _class_logits),
    BINARY_CROSS_ENTROPY: _Estimator(_fit_labels, _label_logits),
    SQUARED_ERROR: _Estimator(_fit_scores, _predicted_scores),
}


def _parameters(model: Any) -> int:
    parts = getattr(model, "estimators_", [model])
    return sum(np.size(getattr(part, name, ())) for part in parts for name in ("coef_", "intercept_"))
