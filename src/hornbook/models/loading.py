"""Loading models and tokenizers, with errors a user can act on."""

import importlib
import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import xxhash

from hornbook.artifact import MANIFEST, Artifact, fingerprint, load
from hornbook.errors import HornbookError, Unreachable, is_out_of_reach
from hornbook.models.families import habit_of, set_dropout
from hornbook.models.probe import check_padding, embedding_name, most_tokens
from hornbook.recipe import FamilyConfig
from hornbook.tasks.labels import Kind

logger = logging.getLogger("hornbook")

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_SENTENCEPIECE = ("spm.model", "sentencepiece.bpe.model", "spiece.model", "sentencepiece.model")
_PROBLEM_TYPES: dict[Kind, str] = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}


Model = Artifact | Path | str


def model_path(model: Model) -> str:
    """Return what `from_pretrained` takes: a folder or a hub name."""
    return str(model.path if isinstance(model, Artifact) else model)


def model_key(model: Model) -> str:
    """Return the key of a model: an artefact has its own, a folder its content, a hub name its revision.

    Raises:
        HornbookError: the folder holds no model, or the hub does not know or cannot give the name.
    """
    if isinstance(model, Artifact):
        return _a_model(model).key
    model = str(model)
    path = Path(model)
    if (path / MANIFEST).is_file():
        return _a_model(load(path)).key
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise HornbookError(f"{model}: no config.json in it, so it is no model folder")
        names = sorted(p for p in path.iterdir() if p.suffix in {".safetensors", ".json", ".txt", ".model"})
        return fingerprint(names)
    if path.exists() or model.startswith((".", "/", "~")):
        raise HornbookError(f"{model}: {'not a' if path.exists() else 'no such'} model folder")
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        file = cached_file(model, "config.json")
    except OSError as error:
        raise _unloadable(model, error) from None
    return str(extract_commit_hash(file, None) or model)


def tokenizer_key(model: Model) -> str:
    """Return the key of a model's tokenizer; students and fine-tuned models inherit it with the files."""
    if isinstance(model, Artifact):
        return str(_a_model(model).manifest["inputs"]["tokenizer"])
    path = Path(model)
    if (path / MANIFEST).is_file():
        return tokenizer_key(load(path))
    return _key_of_tokenizer(str(model), model_key(model))


@lru_cache(maxsize=64)
def _key_of_tokenizer(model: str, _: str) -> str:
    """Return the key of the tokenizer of a model with a key; the cells of an experiment ask again and again."""
    tokenizer = load_tokenizer(model).backend_tokenizer
    # How inputs were cut and padded before it was saved, which is no part of how it reads.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text: str = tokenizer.to_str()
    return xxhash.xxh3_128_hexdigest(text.encode())


def longest_input(model: Model) -> int:
    """Return how many tokens of an input a model takes, special tokens included."""
    return _longest_input(model_path(model), model_key(model))


@lru_cache(maxsize=256)
def _longest_input(model: str, _: str) -> int:
    return int(load_tokenizer(model).model_max_length)


def warn_of_length(setting: str, max_length: int, model: Model) -> None:
    """Say so if a setting allows longer inputs than a model takes."""
    if max_length > (limit := longest_input(model)):
        logger.warning(
            "%s is %d, but %s takes %d tokens; longer inputs are cut there",
            setting,
            max_length,
            model_path(model),
            limit,
        )


def _a_model(artifact: Artifact) -> Artifact:
    if "tokenizer" not in artifact.manifest["inputs"] or artifact.stage == "tokens":
        raise HornbookError(f"{artifact.path}: holds a {artifact.stage}, but a model is needed here")
    return artifact


def load_config(model: Model) -> Any:
    """Return the Hugging Face configuration of a model.

    Raises:
        HornbookError: it cannot be loaded.
    """
    from transformers import AutoConfig

    name = model_path(model)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _unloadable(name, error) from None
    for setting, value in habit_of(config).settings:
        setattr(config, setting, value)
    return config


def load_tokenizer(model: str) -> Any:
    """Return the fast tokenizer of a model, whose `model_max_length` is not more than the model has positions for.

    Raises:
        HornbookError: there is none, it is not a fast one, it has no token to pad with, or it gives ids that the
            model has no embedding for.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    except Exception as error:  # of files that are not as they should be, it raises anything
        raise _unloadable(model, error) from None
    if not tokenizer.is_fast:
        raise HornbookError(f"{model}: its tokenizer is not a fast one (no tokenizer.json can be made of it)")
    if tokenizer.pad_token_id is None:
        raise HornbookError(f"{model}: its tokenizer has no pad token, which an encoder needs")
    config = load_config(model)
    _refuse_strange_ids(model, tokenizer, config)
    positions = most_tokens(config)
    if positions is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def _refuse_strange_ids(model: str, tokenizer: Any, config: Any) -> None:
    """Refuse a tokenizer that gives ids beyond the model's rows, and a padding id beyond them."""
    rows = getattr(config, "vocab_size", None)
    if rows is None:
        return
    ids = max(tokenizer.get_vocab().values()) + 1
    if ids > rows:
        raise HornbookError(
            f"{model}: its tokenizer has {ids:,} ids, the model {rows:,} rows; call "
            "model.resize_token_embeddings(len(tokenizer)) and save the model, or take its own tokenizer"
        )
    pad = getattr(config, "pad_token_id", None)
    if pad is not None and not -rows <= pad < rows:
        raise HornbookError(
            f"{model}: config.json names pad_token_id {pad:,}, but the model has {rows:,} rows; the tokenizer's is "
            f"{tokenizer.pad_token_id:,}"
        )


def check_rows(model: str) -> None:
    """Check that a folder's weights have as many rows of token embeddings as its configuration says.

    Raises:
        HornbookError: they have not. Of a hub name nothing is checked.
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
        raise _unloadable(model, error) from None
    if shapes and shapes[0][0] != config.vocab_size:
        raise HornbookError(
            f"{model}: config.json says vocab_size {config.vocab_size:,}, but the weights have {shapes[0][0]:,} "
            "rows; save the model with save_pretrained"
        )


def load_encoder(model: str, *, dropout: float | None = None, family: FamilyConfig | None = None) -> Any:
    """Return the base encoder (no head) of a model, in float32.

    Args:
        model: a folder or hub name.
        dropout: the probability of all its dropout; by default the model's own.
        family: its family, if not as in the table; needed only to set dropout.

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

    A head that is missing, of another size or for other labels begins at random.

    Args:
        model: a folder or hub name.
        labels: the names of the labels, in order; none for a regression.
        kind: of the task.
        dropout: the probability of all its dropout; by default the model's own.
        family: its family, if not as in the table; needed only to set dropout.

    Raises:
        HornbookError: it cannot be loaded, or only pickled weights are there.
    """
    from transformers import AutoModelForSequenceClassification

    settings = label_settings(labels, kind)
    own = load_config(model)
    check_padding(own)
    loaded = _load(AutoModelForSequenceClassification, model, dropout, family, settings)
    if _has_head(own) and dict(own.id2label) != settings["id2label"]:
        # Outputs that were learned for other labels, or for these in another order, are no beginning.
        fresh: Any = AutoModelForSequenceClassification.from_config(loaded.config, trust_remote_code=False)  # type: ignore[no-untyped-call]
        for name, module in fresh.named_children():
            if name != fresh.base_model_prefix:
                setattr(loaded, name, module)
    return loaded


def load_masked_lm(model: str) -> Any:
    """Return a masked language model with its head, in float32.

    Raises:
        HornbookError: it cannot be loaded, only pickled weights are there, or it has no head that was trained.
    """
    from transformers import AutoModelForMaskedLM

    architectures = load_config(model).architectures or ()
    # Of the models that were saved with all that they were pretrained with, ELECTRA's have another head.
    if not any("MaskedLM" in name or ("PreTraining" in name and "Electra" not in name) for name in architectures):
        has = ", ".join(architectures) or "no head"
        raise HornbookError(f"{model}: not a masked language model ({has}); name one with its head")
    return _load(AutoModelForMaskedLM, model)


def label_settings(labels: Sequence[str], kind: Kind) -> dict[str, Any]:
    """Return what the configuration of a classifier says about its task; a regression has one output, "score"."""
    names = ("score",) if kind == "regression" else tuple(labels)
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
        "problem_type": _PROBLEM_TYPES[kind],
    }


def kind_of(config: Any) -> Kind:
    """Return the kind of task of a classifier, by its Hugging Face configuration."""
    by_type = {problem: kind for kind, problem in _PROBLEM_TYPES.items()}
    if config.problem_type in by_type:
        return by_type[config.problem_type]
    return "regression" if config.num_labels == 1 else "classification"


def load_ready_classifier(model: str) -> Any:
    """Return a model with its own head as it was saved, in float32.

    Raises:
        HornbookError: it cannot be loaded, or it has no classification head.
    """
    from transformers import AutoModelForSequenceClassification

    ready_config(model)
    return _load(AutoModelForSequenceClassification, model, whole=True)


def ready_config(model: str) -> Any:
    """Return the Hugging Face configuration of a ready classifier.

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


def _has_head(config: Any) -> bool:
    return any("SequenceClassification" in name for name in config.architectures or ())


def label_order(
    own: Mapping[int, str], task_labels: Sequence[str], names: Mapping[str, str] | None, where: str
) -> list[int]:
    """Return, for each label of the task, the column of a ready teacher's output that stands for it.

    Args:
        own: the teacher's `id2label`.
        task_labels: the task's label names, in the task's order; none for regression, which has one column.
        names: the task's name for each of the teacher's labels, where they differ.
        where: the teacher, for messages.

    Raises:
        HornbookError: a label of the task is not among the teacher's names (in any letter case, if that is enough to
            tell them apart), or `names` names a label that the teacher does not have.
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
        "say which is which with label_names, {its name: task's name} (in a recipe: teacher.label_names)"
    )


def quiet_transformers() -> None:
    """Keep transformers from warning of what we ask for (a new head), and from bars that flicker by in a blink."""
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
    from safetensors import SafetensorError

    quiet_transformers()
    refuse_pickles(model)
    config = load_config(model)
    for name, value in (labels or {}).items():
        setattr(config, name, value)
    if dropout is not None:
        set_dropout(config, dropout, family)
    settings: dict[str, Any] = {"ignore_mismatched_sizes": True} if labels else {}
    # The weights of the revision that the key names. Besides, transformers would load a converted copy of pickled
    # weights, from a pull request, for the newest one only.
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
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _unloadable(model, error) from None
    _refuse_missing(model, loaded, report, whole)
    # Of names of earlier versions (LayerNorm.gamma) it would save what it read, and a checkpoint with those is read
    # back without these weights, and without a word.
    loaded._weight_conversions = []
    return loaded


def _refuse_missing(model: str, loaded: Any, report: Mapping[str, Any], whole: bool) -> None:
    """Refuse weights that would be drawn at random: all of a ready model, of others those below a new head."""
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
    """Check that a model folder has weights that can be loaded; of a hub name nothing is checked.

    Raises:
        HornbookError: it has only pickled weights, or none.
    """
    path = Path(model)
    if path.is_dir() and not any((path / name).is_file() for name in WEIGHTS):
        raise (
            _only_pickles(model) if any(path.glob("*.bin")) else HornbookError(f"{model}: no model.safetensors in it")
        )


def _only_pickles(model: str) -> HornbookError:
    return HornbookError(
        f"{model}: only pickled weights, which are never loaded, for they can run any program; if you trust "
        f"them, convert them: AutoModel.from_pretrained({model!r}).save_pretrained(FOLDER), and its tokenizer too"
    )


def _unloadable(model: str, error: Exception) -> HornbookError:
    from huggingface_hub import is_offline_mode

    if "trust_remote_code" in str(error):
        return HornbookError(
            f"{model}: wants to run program code of its own (trust_remote_code), which is never done here; "
            "take a model whose architecture transformers knows"
        )
    if "cannot be loaded with `safetensors`" in str(error):
        if is_offline_mode():
            return Unreachable(
                f"{model}: no model.safetensors in the hub's cache on this machine; pickles do not count"
            )
        return _only_pickles(model)
    if missing := _missing_package(model, error):
        return HornbookError(
            f"{model}: its tokenizer takes the package {missing}, which is not installed here: pip install {missing}"
        )
    if Path(model).exists():
        return HornbookError(f"{model}: cannot be loaded: {' '.join(str(error).split())[:300]}")
    if model.startswith((".", "/", "~")):
        return HornbookError(f"{model}: no such folder; name a model folder or a hub name")
    if is_offline_mode():
        return Unreachable(
            f"{model}: no such folder, and no such model in the hub's cache on this machine; name a model folder, "
            "or unset HF_HUB_OFFLINE so that it can be downloaded"
        )
    said = " ".join(str(error).split())[:300]
    kind = Unreachable if is_out_of_reach(error) else HornbookError
    return kind(f"{model}: no such folder, and the hub could not give it: {said}")


def _missing_package(model: str, error: Exception) -> str | None:
    """Return the package that a tokenizer could not be read without, if it is that."""
    if not any(name in str(error) for name in ("tiktoken", "sentencepiece", "protobuf")):
        return None
    # transformers takes any model file that it cannot read as SentencePiece for one of tiktoken's.
    path = Path(model)
    other = path.is_dir() and not any((path / name).is_file() for name in _SENTENCEPIECE)
    wanted = ("sentencepiece", "protobuf") if not other else ("tiktoken",)
    modules = {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf", "tiktoken": "tiktoken"}
    return next((name for name in wanted if not _can_import(modules[name])), None)


def _can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
