"""Load models, with errors a user can act on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.models.families import set_dropout
from hornbook.models.probe import check_padding, embedding_name
from hornbook.models.source import WEIGHTS, Model, load_config, only_pickles, refuse_changed, unloadable
from hornbook.recipe import FamilyConfig
from hornbook.store import Artifact
from hornbook.tasks.kinds import KINDS, kind_of_problem
from hornbook.tasks.labels import Kind


def check_rows(model: str) -> None:
    """Check that a folder's weights have as many rows of token embeddings as its configuration says.

    Args:
        model: a folder; hub names are not checked.

    Raises:
        HornbookError: they do not, or the weights cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(model) / WEIGHTS[0]
    if not path.is_file():
        return
    config = load_config(model)
    name = embedding_name(config)
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys() if name and key.endswith(name)]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise unloadable(model, error) from None
    if shapes and shapes[0][0] != config.vocab_size:
        raise HornbookError(
            f"{model}: config.json says vocab_size {config.vocab_size:,}, but the weights have {shapes[0][0]:,} "
            "rows; save the model with save_pretrained"
        )


def load_encoder(model: str, *, dropout: float | None = None, family: FamilyConfig | None = None) -> Any:
    """Return the base encoder (no head) of a model, in float32.

    Args:
        model: a folder or hub name.
        dropout: the probability for all dropout layers; by default the model's own.
        family: its family, if not in the table; needed only to set dropout.

    Returns:
        the transformers model, as `AutoModel` loads it.

    Raises:
        HornbookError: it cannot be loaded, or only pickled weights are there.
    """
    from transformers import AutoModel

    return _load(AutoModel, model, dropout, family)


def load_classifier(
    model: str,
    labels: Sequence[str],
    kind: Kind,
    *,
    dropout: float | None = None,
    family: FamilyConfig | None = None,
) -> Any:
    """Return a model with a head for a task, in float32.

    A head that is missing, of another size or for other labels gets random weights.

    Args:
        model: a folder or hub name.
        labels: the names of the labels, in order; none for a regression.
        kind: the kind of the task.
        dropout: the probability for all dropout layers; by default the model's own.
        family: its family, if not in the table; needed only to set dropout.

    Returns:
        the transformers model, as `AutoModelForSequenceClassification` loads it.

    Raises:
        HornbookError: it cannot be loaded, or only pickled weights are there.
    """
    from transformers import AutoModelForSequenceClassification

    settings = label_settings(labels, kind)
    own = load_config(model)
    check_padding(own)
    loaded = _load(AutoModelForSequenceClassification, model, dropout, family, settings)
    if _has_head(own) and not has_head_for(model, labels, kind):
        # Do not start from a head trained for other labels, or for these in another order.
        fresh: Any = AutoModelForSequenceClassification.from_config(loaded.config, trust_remote_code=False)  # type: ignore[no-untyped-call]
        for name, module in fresh.named_children():
            if name != fresh.base_model_prefix:
                setattr(loaded, name, module)
    return loaded


def has_head_for(model: str, labels: Sequence[str], kind: Kind) -> bool:
    """Return whether a model has a head that `load_classifier` keeps: one for these labels in this order."""
    own = load_config(model)
    return _has_head(own) and dict(own.id2label) == label_settings(labels, kind)["id2label"]


def load_masked_lm(model: str) -> Any:
    """Return a masked language model with its head, in float32.

    Args:
        model: a folder or hub name.

    Returns:
        the transformers model, as `AutoModelForMaskedLM` loads it.

    Raises:
        HornbookError: it cannot be loaded, only pickled weights are there, or it has no trained head.
    """
    from transformers import AutoModelForMaskedLM

    check_masked_lm(model)
    return _load(AutoModelForMaskedLM, model, whole=True)


def check_masked_lm(model: str) -> None:
    """Check that a model is a masked language model with its head.

    Args:
        model: a folder or hub name.

    Raises:
        HornbookError: its configuration cannot be loaded, or it has no such head.
    """
    config = load_config(model)
    if not _is_masked_lm(config):
        has = ", ".join(config.architectures or ()) or "no head"
        raise HornbookError(f"{model}: not a masked language model ({has}); name one with its head")


def label_settings(labels: Sequence[str], kind: Kind) -> dict[str, Any]:
    """Return the task settings of a classifier's configuration; a regression has one output, "score"."""
    names = KINDS[kind].output_names(labels)
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
        "problem_type": KINDS[kind].problem_type,
    }


def kind_of(config: Any) -> Kind:
    """Return the kind of task of a classifier from its Hugging Face configuration."""
    return kind_of_problem(config.problem_type, config.num_labels).name


def kind_key(classifier: Model) -> dict[str, int]:
    """Return what the key of a classifier contains for its kind of task (`TaskKind.key`), also if it is only planned.

    Args:
        classifier: an artefact, a folder or a hub name.

    Returns:
        versions by name.

    Raises:
        HornbookError: its configuration cannot be loaded.
    """
    if isinstance(classifier, Artifact) and classifier.planned:
        planned = classifier.manifest["config"]
        return {name: version for kind in KINDS.values() for name, version in kind.key.items() if name in planned}
    return dict(KINDS[kind_of(load_config(classifier))].key)


def load_ready_classifier(model: str) -> Any:
    """Return a model with its own head as it was saved, in float32.

    Args:
        model: a folder or hub name.

    Returns:
        the transformers model, with the labels of its own configuration.

    Raises:
        HornbookError: it cannot be loaded, or it has no classification head.
    """
    from transformers import AutoModelForSequenceClassification

    ready_config(model)
    return _load(AutoModelForSequenceClassification, model, whole=True)


def load_as_saved(model: str) -> Any:
    """Return a model with the head that it was saved with, in float32.

    Args:
        model: a folder or hub name.

    Returns:
        a classifier, a masked language model, or a base encoder if it has neither head.

    Raises:
        HornbookError: it cannot be loaded, or only pickled weights are there.
    """
    config = load_config(model)
    if _has_head(config):
        return load_ready_classifier(model)
    return load_masked_lm(model) if _is_masked_lm(config) else load_encoder(model)


def ready_config(model: str) -> Any:
    """Return the Hugging Face configuration of a ready classifier.

    Args:
        model: a folder or hub name.

    Returns:
        its configuration; `id2label` names the outputs.

    Raises:
        HornbookError: it cannot be loaded, or it has no classification head.
    """
    config = load_config(model)
    if not _has_head(config):
        has = ", ".join(config.architectures or ()) or "no head"
        raise HornbookError(
            f"{model}: not a classifier ({has}): fine-tune it first (in a recipe: teacher.kind task or general)"
        )
    check_padding(config)
    return config


def _is_masked_lm(config: Any) -> bool:
    # Models saved with their pretraining heads are, except ELECTRA's, which have another head.
    return any(
        "MaskedLM" in name or ("PreTraining" in name and "Electra" not in name) for name in config.architectures or ()
    )


def _has_head(config: Any) -> bool:
    return any("SequenceClassification" in name for name in config.architectures or ())


def label_order(
    own: Mapping[int, str], task_labels: Sequence[str], names: Mapping[str, str] | None, where: str
) -> list[int]:
    """Return the column of a ready teacher's output for each label of the task.

    Args:
        own: the teacher's `id2label`.
        task_labels: the task's label names, in the task's order; none for regression, which has one column.
        names: maps the teacher's label names to the task's, where they differ.
        where: the teacher, for messages.

    Returns:
        a column index for each label, in the task's order.

    Raises:
        HornbookError: a label of the task is not among the teacher's names (in any letter case, if that is
            unambiguous), or `names` has a label that the teacher lacks.
    """
    if not task_labels:
        if len(own) != 1:
            raise HornbookError(f"{where}: has {len(own)} outputs, but the task is regression, which has one")
        return [0]
    if strange := sorted(set(names or {}) - set(own.values())):
        raise HornbookError(
            f"{where}: label_names: it has no label {strange[0]!r}; its labels are {list(own.values())}"
        )
    for same in (str, str.casefold):  # a task may have labels that differ in case alone
        renamed = {same((names or {}).get(name, name)): column for column, name in own.items()}
        found = [renamed[same(label)] for label in task_labels if same(label) in renamed]
        if len(set(found)) == len(own) == len(task_labels):
            return found
    raise HornbookError(
        f"{where}: its labels {list(own.values())} are not the task's {list(task_labels)}; "
        "map them with label_names, {its name: task's name} (in a recipe: teacher.label_names)"
    )


def quiet_transformers() -> None:
    """Turn off transformers' warnings about new heads, which are wanted, and its short-lived progress bars."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _load(
    kind: Any,
    model: str,
    dropout: float | None = None,
    family: FamilyConfig | None = None,
    labels: Mapping[str, Any] | None = None,
    whole: bool = False,
) -> Any:
    import torch

    quiet_transformers()
    refuse_changed(model, weights=True)
    refuse_pickles(model)
    config = load_config(model)
    for name, value in (labels or {}).items():
        setattr(config, name, value)
    if dropout is not None:
        set_dropout(config, dropout, family)
    settings: dict[str, Any] = {"ignore_mismatched_sizes": True} if labels else {}
    # The weights of the revision in the key. Without it, transformers would load a converted copy of pickled weights
    # from a pull request.
    if revision := getattr(config, "_commit_hash", None):
        settings["revision"] = revision
    try:
        loaded, report = kind.from_pretrained(
            model,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **settings,
        )
    except Exception as error:  # on damaged files it raises anything
        raise unloadable(model, error) from None
    _refuse_missing(model, loaded, report, whole)
    # It would save weights under the old names it read (LayerNorm.gamma), and silently leave them out when reading
    # such a checkpoint back.
    loaded._weight_conversions = []
    return loaded


def _refuse_missing(model: str, loaded: Any, report: Mapping[str, Any], whole: bool) -> None:
    """Refuse missing weights, which would be random: in a whole model all, else those below a new head.

    Weights that are tied to others do not count as missing.
    """
    bare = loaded.base_model is loaded
    missing = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    below = [
        key for key in missing if "pooler" not in key and (bare or key.startswith(f"{loaded.base_model_prefix}."))
    ]
    if lost := missing if whole else below:
        raise HornbookError(
            f"{model}: {len(lost)} of its weights are missing or have another shape, such as {lost[0]}; was it saved "
            "from a compiled or wrapped model? save the model itself with save_pretrained"
        )


def refuse_pickles(model: str) -> None:
    """Check that a model folder has weights that can be loaded; hub names are not checked.

    Args:
        model: a folder or hub name.

    Raises:
        HornbookError: it has only pickled weights, or none.
    """
    path = Path(model)
    if path.is_dir() and not any((path / name).is_file() for name in WEIGHTS):
        raise (
            only_pickles(model) if any(path.glob("*.bin")) else HornbookError(f"{model}: no model.safetensors in it")
        )
