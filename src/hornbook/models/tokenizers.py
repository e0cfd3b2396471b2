"""Load and save tokenizers so that they follow their files, and every loader truncates at the same length."""

import copy
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import xxhash

from hornbook.errors import HornbookError
from hornbook.machine.parsing import read_json
from hornbook.models.probe import max_positions
from hornbook.models.segments import BERT, counted, missing, segments_of
from hornbook.models.source import (
    Model,
    a_model,
    asking,
    load_config,
    model_key,
    model_path,
    refuse_changed,
    unloadable,
)
from hornbook.store import MANIFEST, Artifact, load, write_json

logger = logging.getLogger("hornbook")

# The key in tokenizer_config.json for the tokens that a model takes, if it is saved to truncate at fewer.
_LONGEST = "longest_input"
_ANY = 1 << 30
_FILE = "tokenizer.json"
_FEWEST = 4
# Arguments of loading and calling a tokenizer that transformers saves, and that every loader ignores.
_OF_A_CALL = (
    *("max_length", "stride", "truncation", "truncation_strategy", "padding", "pad_to_multiple_of"),
    *("is_local", "local_files_only"),
)


def tokenizer_key(model: Model) -> str:
    """Return the key of a model's tokenizer; students and fine-tuned models inherit it with the files."""
    if isinstance(model, Artifact):
        return str(a_model(model).manifest["inputs"]["tokenizer"])
    path = Path(model)
    if (path / MANIFEST).is_file():
        return tokenizer_key(load(path))
    return _key_of_tokenizer(str(model), model_key(model))


@lru_cache(maxsize=64)
def _key_of_tokenizer(model: str, _: str) -> str:
    """Return the key of the tokenizer of a model with a key; cached, as every cell of an experiment needs it."""
    whole = load_tokenizer(model)
    tokenizer = whole.backend_tokenizer
    # Truncation and padding are not part of how it reads text.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text: str = tokenizer.to_str()
    if counted(load_config(model)) and (segments := segments_of(whole)) != BERT:
        text += f"\0{segments}"  # their models were trained with BERT's before
    return xxhash.xxh3_128_hexdigest(text.encode())


def max_input_tokens(model: Model) -> int:
    """Return the most tokens that a model takes in an input, special tokens included."""
    return _max_input_tokens(model_path(model), model_key(model))


@lru_cache(maxsize=256)
def _max_input_tokens(model: str, _: str) -> int:
    return int(load_tokenizer(model).model_max_length)


def warn_of_length(setting: str, max_length: int, model: Model) -> None:
    """Warn if a setting allows longer inputs than a model takes."""
    if max_length > (limit := max_input_tokens(model)):
        logger.warning(
            "%s is %d, but %s takes %d tokens; longer inputs are cut there",
            setting,
            max_length,
            model_path(model),
            limit,
        )


def load_tokenizer(model: str) -> Any:
    """Return the fast tokenizer of a model; its `model_max_length` is at most the number of the model's positions.

    Args:
        model: a folder or hub name.

    Returns:
        the tokenizer, which normalises and splits text as its tokenizer.json defines.

    Raises:
        HornbookError: there is none, it is not a fast one, it has only special tokens, it has no padding token, or it
            gives ids that the model has no embedding for.
    """
    from transformers import AutoTokenizer

    refuse_changed(model, weights=False)
    with asking(model):
        try:
            tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        except Exception as error:  # on damaged files it raises anything
            raise unloadable(model, error) from None
    if not tokenizer.is_fast:
        raise HornbookError(f"{model}: its tokenizer is not a fast one (no tokenizer.json can be made of it)")
    _refuse_empty(model, tokenizer)
    if tokenizer.pad_token_id is None:
        raise HornbookError(f"{model}: its tokenizer has no pad token, which an encoder needs")
    tokenizer = _as_stored(model, tokenizer)
    config = load_config(model)
    _refuse_strange_ids(model, tokenizer, config)
    positions = max_positions(config)
    stated = tokenizer.init_kwargs.pop(_LONGEST, None), tokenizer.model_max_length
    # With less no text is left; to transformers 0 means no truncation.
    legal = (length for length in stated if isinstance(length, int | float) and length >= _FEWEST)
    tokenizer.model_max_length = next(legal, _ANY)
    if positions is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path, max_length: int) -> None:
    """Save a tokenizer so that every loader that truncates does so at one length.

    That is `max_length`, or the most tokens that its model takes if that is less, which is saved too, for
    `load_tokenizer`: the model may be trained on longer inputs later. Plain `tokenizers` does not truncate.

    Args:
        tokenizer: as `load_tokenizer` returns it; not changed.
        folder: the folder to save to.
        max_length: maximum tokens per input.
    """
    saved = copy.deepcopy(tokenizer)
    saved.backend_tokenizer.no_truncation()
    saved.backend_tokenizer.no_padding()
    for name in _OF_A_CALL:
        saved.init_kwargs.pop(name, None)
    saved.init_kwargs[_LONGEST] = tokenizer.model_max_length
    saved.model_max_length = min(max_length, tokenizer.model_max_length)
    saved.save_pretrained(folder)
    _name_class(saved, folder / "tokenizer_config.json")


def _name_class(tokenizer: Any, file: Path) -> None:
    """Set the class that reads a tokenizer as it is stored, in transformers 4 too."""
    if type(tokenizer).__name__ == "TokenizersBackend":
        settings = read_json(file)
        write_json(file, settings | {"tokenizer_class": "PreTrainedTokenizerFast"})


def saved_length(tokenizer: Any) -> int:
    """Return the length at which other programs truncate a model's inputs; the model may take more."""
    return int(min(tokenizer.init_kwargs.get("model_max_length") or _ANY, tokenizer.model_max_length))


def learned_length(model: Model) -> int | None:
    """Return the length that hornbook fine-tuned a model at, the shortest of a grid; None for other models."""
    if not isinstance(model, Artifact):
        if not (Path(model) / MANIFEST).is_file():
            return None
        model = load(model)
    config = model.manifest["config"]
    lengths = [config.get("max_length"), *config.get("grid", {}).get("max_length", ())]
    return min((length for length in lengths if length is not None), default=None)


def _as_stored(model: str, tokenizer: Any) -> Any:
    """Return a tokenizer that reads text as the files of its model define.

    transformers 5 rebuilds the tokenizers of most families from the vocabulary, and ignores the normalisation and the
    word splitting in tokenizer.json (a cased BERT lower-cases if tokenizer_config.json has no do_lower_case). Every
    other program follows tokenizer.json, and so does this. When it reads a SentencePiece file alone, transformers
    leaves out DeBERTa's normalisation; it is restored.
    """
    from tokenizers import Tokenizer

    file = _stored_file(model)
    if file is None:
        _restore_normalisation(tokenizer)
        return tokenizer
    stored = Tokenizer.from_file(file)
    if _ways(stored) == _ways(tokenizer.backend_tokenizer):
        return tokenizer
    verbatim = with_backend(tokenizer, stored)
    # Tokens that tokenizer_config.json adds to the file, in the order of their ids.
    added = sorted(tokenizer.get_added_vocab().items(), key=lambda one: one[1])
    verbatim.add_tokens([token for token, _ in added if token not in verbatim.get_vocab()])
    return verbatim


def with_backend(tokenizer: Any, backend: Any) -> Any:
    """Return a tokenizer that reads text by another backend.

    Args:
        tokenizer: a fast tokenizer, whose special tokens and lengths the new one has; not changed.
        backend: of the library tokenizers.

    Returns:
        a fast tokenizer of no family's class: those rebuild the backend in their own way when they are loaded.
    """
    from transformers import PreTrainedTokenizerFast

    names = tokenizer.special_tokens_map
    kept = {name: getattr(tokenizer, name) for name in ("model_max_length", "model_input_names", "padding_side")}
    longest = {_LONGEST: tokenizer.init_kwargs[_LONGEST]} if _LONGEST in tokenizer.init_kwargs else {}
    build: Any = PreTrainedTokenizerFast
    return build(tokenizer_object=backend, **names, **kept, **longest)


def _stored_file(model: str) -> str | None:
    """Return the tokenizer.json of a folder or of a hub name whose tokenizer was loaded; None if it has none."""
    if Path(model).is_dir():
        file = Path(model) / _FILE
        return str(file) if file.is_file() else None
    from transformers.utils.hub import cached_file

    found: str | None = cached_file(model, _FILE, local_files_only=True, _raise_exceptions_for_missing_entries=False)
    return found


def _ways(backend: Any) -> tuple[bytes | None, bytes | None]:
    """Return how a tokenizer normalises text and splits it into words, as JSON."""
    parts = (backend.normalizer, backend.pre_tokenizer)
    first, second = (None if part is None else part.__getstate__() for part in parts)
    return first, second


def _restore_normalisation(tokenizer: Any) -> None:
    """Restore the Unicode normalisation of a SentencePiece model if it was left out."""
    path, backend = Path(getattr(tokenizer, "vocab_file", None) or ""), tokenizer.backend_tokenizer
    if path.suffix != ".model" or '"Precompiled"' in backend.to_str():
        return
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import normalizers

    read: Any = sentencepiece_model_pb2
    stored = read.ModelProto.FromString(path.read_bytes()).normalizer_spec.precompiled_charsmap
    if stored:
        own = [backend.normalizer] if backend.normalizer is not None else []
        backend.normalizer = normalizers.Sequence([normalizers.Precompiled(stored), *own])


def _refuse_empty(model: str, tokenizer: Any) -> None:
    """Refuse a tokenizer of special tokens alone: transformers 5 makes one, silently, where a folder has no files."""
    words = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    if not set(words).difference(tokenizer.all_special_tokens):
        raise HornbookError(
            f"{model}: has no tokenizer (tokenizer.json, vocab.txt, spm.model …); save it beside the model with "
            "tokenizer.save_pretrained"
        )


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
    if segments := missing(segments_of(tokenizer), config):
        raise HornbookError(
            f"{model}: its tokenizer gives token type id {segments[-1]}, the model has {counted(config)} of them "
            "(type_vocab_size); take its own tokenizer"
        )
