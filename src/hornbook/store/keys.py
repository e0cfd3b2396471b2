"""Content keys: a hash of everything that a result is made from, as 32 hexadecimal digits."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import xxhash
from pydantic import BaseModel

from hornbook.errors import HornbookError
from hornbook.machine.places import refuse_unspeakable
from hornbook.machine.text_files import COMPRESSIONS

_SAMPLED_ABOVE = 1 << 30
_SAMPLED_BLOCK = 1 << 20
_KNOWN: dict[tuple[int, ...], str] = {}


def result_config(config: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that can change a result, ready for JSON.

    Args:
        config: the settings; fields declared with `json_schema_extra={"changes_result": False}` (threads, logging)
            are left out.

    Returns:
        values by the name of the field.
    """
    if not isinstance(config, BaseModel):
        return dict(config)
    kept: dict[str, Any] = {}
    for name, about in type(config).model_fields.items():
        extra = about.json_schema_extra
        if isinstance(extra, dict) and extra.get("changes_result") is False:
            continue
        value = getattr(config, name)
        kept[name] = result_config(value) if isinstance(value, BaseModel) else value
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return plain


def content_key(stage: str, version: int, config: BaseModel | Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the content key of an artefact.

    Args:
        stage: the name of the stage.
        version: the version of the stage's code.
        config: its settings, see `result_config`.
        inputs: the content keys of its inputs, by role.

    Returns:
        32 hexadecimal digits (XXH3, 128 bits).
    """
    identity = {"stage": stage, "version": version, "config": result_config(config), "inputs": dict(inputs)}
    return xxhash.xxh3_128_hexdigest(json.dumps(identity, sort_keys=True).encode())


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a content key for files and folders.

    A file over 1 GiB counts by size, modification time and samples. Names count relative to the given path, so a
    folder keeps its key when it is moved.

    Args:
        paths: files and folders.

    Returns:
        32 hexadecimal digits.

    Raises:
        HornbookError: a path does not exist.
    """
    digest = xxhash.xxh3_128()
    for path in paths:
        if not path.exists():
            raise HornbookError(f"{path}: no such file or folder")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            refuse_unspeakable(file)
            name = file.relative_to(path) if path.is_dir() else Path(_suffix(file))
            digest.update(f"{name.as_posix()}\0{known_checksum(file, sampled=True)}\0".encode())
    return digest.hexdigest()


def _suffix(file: Path) -> str:
    """Return the suffixes that select the reader; a compressed file has two, unless it holds plain text."""
    inside = Path(file.stem).suffix if file.suffix in COMPRESSIONS else ""
    return ("" if inside == ".txt" else inside) + file.suffix


def known_checksum(path: Path, *, sampled: bool = False) -> str:
    """Return the checksum of a file, cached in this process as long as the file does not change.

    The cache is by inode, so a renamed or linked file is not read again.

    Args:
        path: the file.
        sampled: see `checksum`.

    Returns:
        32 hexadecimal digits.
    """
    stat = path.stat()
    sampled = sampled and stat.st_size > _SAMPLED_ABOVE
    file = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, sampled)
    if file not in _KNOWN:
        _KNOWN[file] = checksum(path, sampled=sampled)
    return _KNOWN[file]


def checksum(path: Path, *, sampled: bool = False) -> str:
    """Return the checksum of a file.

    Args:
        path: the file.
        sampled: over 1 GiB, hash its size, modification time and 64 samples of 1 MiB only.

    Returns:
        32 hexadecimal digits (XXH3, 128 bits).
    """
    digest = xxhash.xxh3_128()
    stat = path.stat()
    with path.open("rb") as file:
        if not sampled or stat.st_size <= _SAMPLED_ABOVE:
            while block := file.read(_SAMPLED_BLOCK):
                digest.update(block)
        else:
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            for i in range(64):
                file.seek(i * (stat.st_size - _SAMPLED_BLOCK) // 63)
                digest.update(file.read(_SAMPLED_BLOCK))
    return digest.hexdigest()
