"""The floor: logistic regression on word counts, which any student should beat."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.evaluation.record import record, scored_splits
from hornbook.machine.progress import progress
from hornbook.recipe import EvaluateConfig
from hornbook.store import Artifact, Destination, StageContext, load, make
from hornbook.tasks import Task, kind_version, open_task
from hornbook.tasks.metrics import scores
from hornbook.terms.plain import normalise

VERSION = 3
STRENGTHS = (0.1, 1.0, 10.0)
"""What is tried, the best on dev is kept: the penalty's inverse strength (scikit-learn's C, ridge's 1 / alpha)."""
_MANY_ROWS = 1000
_MOST_FEATURES = 200_000
_NEVER = -1e3  # a logit whose probability is 0; that of its negative is 1


def floor(task: Artifact | Path | str, out: Destination, config: EvaluateConfig | None = None) -> Artifact:
    """Fit logistic regression on TF-IDF weights of words and pairs of neighbouring words, and score it.

    Weights are of sublinear term frequency; words in only one text are left out where train has over 1,000 rows, and
    the 200,000 most frequent are kept. A pair of texts gives the weights of both, and their products, which say what
    both have in common. Several labels get one regression each; scores get ridge regression.

    Args:
        task: a prepared task.
        out: the artefact's folder.
        config: how many sentences speed is measured on.

    Returns:
        the artefact, stage "evaluation", as of `evaluate`; the speed counts the words too. `info["strength"]` is the
        one of `STRENGTHS` that was best on dev.

    Raises:
        HornbookError: the texts of train hold no words to count.
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
    with progress("fit the floor", len(STRENGTHS), "fits") as counter:
        for strength in STRENGTHS:
            model = _fitted(task, train, strength)
            score = scores(task.kind, task.gold("dev"), outputs_of(task, model, dev))[task.metric]
            fitted.append((score, strength, model))
            counter.advance()
    _, strength, model = max(fitted, key=lambda found: found[0])
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
    """Return a function from a split and a number of its rows (None: all) to their features, a sparse matrix.

    Raises:
        HornbookError: the texts of train hold no words to count.
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
        token_pattern=r"(?u)\b\w+\b",
        preprocessor=_preprocessed,
    )
    texts = [text for name in columns for text in train[name].to_pylist()]
    try:
        words.fit(texts)
    except ValueError:  # scikit-learn's for an empty vocabulary
        raise HornbookError(
            f"{task.artifact.path}: the texts of train hold no words to count, or none that two of them share; "
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
    """Return a fitted model's outputs as logits, shape (rows, labels); scores for a regression."""
    if task.kind == "regression":
        return np.asarray(model.predict(found), np.float64)[:, None]
    if task.kind == "multilabel":
        from scipy.special import logit

        # of a single label scikit-learn has two columns, "no" before "yes"
        shares = np.asarray(model.predict_proba(found), np.float64)[:, -len(task.labels) :]
        return np.asarray(np.clip(logit(shares), _NEVER, -_NEVER), np.float64)
    decision = np.asarray(model.decision_function(found), np.float64)
    if decision.ndim == 1:
        # so that softmax gives the sigmoid of the decision
        decision = np.stack([-decision / 2, decision / 2], axis=1)
    outputs = np.full((len(decision), len(task.labels)), _NEVER)
    outputs[:, model.classes_] = decision  # a label may be named and occur in no row
    return outputs


def _fitted(task: Task, found: Any, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    gold = task.gold("train")
    if task.kind == "regression":
        return Ridge(alpha=1 / strength).fit(found, gold)
    one = LogisticRegression(C=strength, max_iter=1000)
    return (
        OneVsRestClassifier(one).fit(found, gold.astype(np.int64))
        if task.kind == "multilabel"
        else one.fit(found, gold)
    )


def _parameters(model: Any) -> int:
    parts = getattr(model, "estimators_", [model])
    return sum(np.size(getattr(part, name, ())) for part in parts for name in ("coef_", "intercept_"))
