"""The manifest of an artefact: written once, checked when it is read."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

import xxhash
from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from hornbook.errors import HornbookError, one_line

_CHECKSUM = "checksum"


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("leads out of the folder")
    return name


class _Listed(BaseModel):
    bytes: NonNegativeInt
    xxh3_128: str


class _Manifest(BaseModel):
    """What every reader of a manifest relies on."""

    model_config = ConfigDict(strict=True)
    stage: str
    key: str
    config: dict[str, Any]
    inputs: dict[str, str]
    counts: dict[str, int | float]
    info: dict[str, Any]
    files: dict[Annotated[str, AfterValidator(_inside)], _Listed]


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with the checksum of its own content as the last entry.

    Args:
        manifest: what `json` can write.

    Returns:
        the manifest to write.
    """
    return {**manifest, _CHECKSUM: _checksum(manifest)}


def check(manifest: Any, where: str) -> dict[str, Any]:
    """Check that a manifest is complete and as it was written.

    Manifests of earlier versions have no checksum of their own; only their structure is checked.

    Args:
        manifest: the content of its file.
        where: the file, for the error message.

    Returns:
        the manifest.

    Raises:
        HornbookError: an entry is missing or of another type, a file's name leads out of the folder, or the content
            changed since.
    """
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise HornbookError(
            f"{where}: damaged ({one_line(place, 80)}: {first['msg']}); remove the folder and make it again"
        ) from None
    found: dict[str, Any] = dict(manifest)
    if _CHECKSUM in found and found.pop(_CHECKSUM) != _checksum(found):
        raise HornbookError(f"{where}: changed since it was made; remove the folder and make it again")
    return found


def _checksum(manifest: Mapping[str, Any]) -> str:
    # The order of keys is that of the file, which JSON readers keep.
    return xxhash.xxh3_128_hexdigest(json.dumps(manifest).encode())
