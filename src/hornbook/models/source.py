"""The source of a model: a finished artefact, a folder or a hub name; its key and the errors of loading it."""

import importlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError, Unreachable, one_line
from hornbook.machine import hub
from hornbook.models.families import defaults_of
from hornbook.store import MANIFEST, Artifact, fingerprint, load

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""The files of a model's weights; a folder has one of them."""
_SENTENCEPIECE = ("spm.model", "sentencepiece.bpe.model", "spiece.model", "sentencepiece.model")

Model = Artifact | Path | str


def model_path(model: Model) -> str:
    """Return the argument for `from_pretrained`: a folder or a hub name."""
    return str(model.path if isinstance(model, Artifact) else model)


def model_key(model: Model) -> str:
    """Return the content key of a model.

    Args:
        model: an artefact, a folder or a hub name.

    Returns:
        the artefact's key, a hash of the folder's files, or the commit of the hub's repository.

    Raises:
        HornbookError: the folder holds no model, or the hub has no such name or cannot be reached.
    """
    if isinstance(model, Artifact):
        return a_model(model).key
    model = str(model)
    path = Path(model)
    if (path / MANIFEST).is_file():
        return a_model(load(path)).key
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise HornbookError(f"{model}: no config.json in it, so it is not a model folder")
        names = sorted(p for p in path.iterdir() if p.suffix in {".safetensors", ".json", ".txt", ".model"})
        return fingerprint(names)
    if path.exists() or model.startswith((".", "/", "~")):
        raise HornbookError(f"{model}: {'not a' if path.exists() else 'no such'} model folder")
    from transformers.utils.hub import cached_file, extract_commit_hash

    with asking(model):
        try:
            file = cached_file(model, "config.json")
        except OSError as error:
            raise unloadable(model, error) from None
    return str(extract_commit_hash(file, None) or model)


def refuse_changed(model: str, *, weights: bool) -> None:
    """Refuse a finished artefact whose files have changed. Folders without a manifest are not checked.

    Args:
        model: a folder or hub name.
        weights: check the weights too, not only the configuration and tokenizer files.

    Raises:
        HornbookError: a file is missing or changed.
    """
    path = Path(model)
    if (path / MANIFEST).is_file():
        artifact = load(path)
        for name in artifact.manifest["files"]:
            if "/" not in name and (weights or not name.endswith(".safetensors")):
                artifact.file(name)


def a_model(artifact: Artifact) -> Artifact:
    """Return an artefact after checking that it holds a model.

    Args:
        artifact: any artefact.

    Returns:
        the same artefact.

    Raises:
        HornbookError: it holds something else.
    """
    if "tokenizer" not in artifact.manifest["inputs"] or artifact.stage == "tokens":
        raise HornbookError(f"{artifact.path}: holds a {artifact.stage}, but a model is needed here")
    return artifact


def load_config(model: Model) -> Any:
    """Return the Hugging Face configuration of a model.

    Args:
        model: an artefact, a folder or a hub name.

    Returns:
        the configuration, with the settings of `FamilyDefaults.settings`.

    Raises:
        HornbookError: it cannot be loaded.
    """
    from transformers import AutoConfig

    name = model_path(model)
    with asking(name):
        try:
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        except Exception as error:  # on damaged files it raises anything
            raise unloadable(name, error) from None
    _refuse_nonsense(name, config)
    for setting, value in defaults_of(config).settings:
        setattr(config, setting, value)
    return config


def _refuse_nonsense(model: str, config: Any) -> None:
    """Refuse values of a configuration that transformers takes, but no code can work with."""
    named = config.architectures
    if not (named is None or (isinstance(named, list) and all(isinstance(one, str) for one in named))):
        raise HornbookError(f"{model}: config.json: architectures is not a list of names")
    for setting in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"):
        value = getattr(config, setting, 1)
        if isinstance(value, int) and value < 1:
            raise HornbookError(f"{model}: config.json says {setting} {value}; it must be at least 1")


def only_pickles(model: str) -> HornbookError:
    """Return the error of a model that has only pickled weights."""
    return HornbookError(
        f"{model}: only pickled weights, which are never loaded because they can run any program; if you trust "
        f"them, convert them: AutoModel.from_pretrained({model!r}).save_pretrained(FOLDER), and its tokenizer too"
    )


def asking(model: str) -> AbstractContextManager[None]:
    """Return the context for requests to the hub; a null context if the name is a path."""
    is_path = Path(model).exists() or model.startswith((".", "/", "~"))
    return nullcontext() if is_path else hub.asking("models", model)


def unloadable(model: str, error: Exception) -> HornbookError:
    """Return the error, in one line, of a model, configuration or tokenizer that a library could not load."""
    from huggingface_hub import is_offline_mode

    if "trust_remote_code" in str(error):
        return HornbookError(
            f"{model}: needs to run program code of its own (trust_remote_code), which hornbook never does; "
            "take a model whose architecture transformers knows"
        )
    if "cannot be loaded with `safetensors`" in str(error):
        if is_offline_mode():
            return Unreachable(
                f"{model}: no model.safetensors in the hub's cache on this machine; pickles do not count"
            )
        return only_pickles(model)
    if missing := _missing_package(model, error):
        return HornbookError(
            f"{model}: its tokenizer needs the package {missing}, which is not installed: pip install {missing}"
        )
    if Path(model).exists():
        what = f"no {error.args[0]!r}" if isinstance(error, KeyError) and error.args else one_line(error, 300)
        return HornbookError(f"{model}: cannot be loaded: {what}")
    if model.startswith((".", "/", "~")):
        return HornbookError(f"{model}: no such folder; name a model folder or a hub name")
    if is_offline_mode():
        return Unreachable(
            f"{model}: no such folder, and no such model in the hub's cache on this machine; name a model folder, "
            f"or {hub.remedy()}"
        )
    said = one_line(error, 300)
    kind = Unreachable if hub.is_out_of_reach(error) else HornbookError
    return kind(f"{model}: no such folder, and the hub could not give it: {said}")


def _missing_package(model: str, error: Exception) -> str | None:
    """Return the missing package that a tokenizer needs, if that is why it could not be loaded."""
    if not any(name in str(error) for name in ("tiktoken", "sentencepiece", "protobuf")):
        return None
    # transformers treats any model file that it cannot read as SentencePiece as one of tiktoken.
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
