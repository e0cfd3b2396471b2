"""Upload an export to the Hugging Face hub."""

import logging
from http import HTTPStatus
from typing import Any

from hornbook.errors import HornbookError, Unreachable, one_line
from hornbook.export.card import CARD, PLACE
from hornbook.machine import hub
from hornbook.store import MANIFEST, Artifact

logger = logging.getLogger("hornbook")

# What an earlier upload of another student may have left, and this one would not replace.
_OWN = ("onnx/", "int8/", "calibration.json", "answers.json")


def check_push(repository: str) -> None:
    """Refuse an upload that cannot work, before anything is computed.

    Args:
        repository: the name on the hub: NAME, or OWNER/NAME.

    Raises:
        HornbookError: the hub is not used, does not answer, or there is no token.
    """
    from huggingface_hub import get_token, is_offline_mode

    with hub.asking("models", repository):
        if is_offline_mode():
            raise Unreachable(f"{repository}: nothing is uploaded while the hub is not used; {hub.remedy()}")
    if get_token() is None:
        raise HornbookError(
            f"{repository}: an upload needs a token with write access; run `hf auth login` or set HF_TOKEN"
        )


def push(export: Artifact, repository: str, *, public: bool = False) -> str:
    """Upload an export: its files, its card and its manifest. A new repository is private.

    Files of an earlier upload that this export has not are removed, so that no graph of another student stays.

    Args:
        export: the finished export, with its card.
        repository: the name on the hub: NAME, or OWNER/NAME.
        public: make a new repository public, or accept one that is.

    Returns:
        the address of the repository.

    Raises:
        HornbookError: offline, no token, no right to write there, or the repository is public.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    check_push(repository)
    # Checksums are compared: what is uploaded is what passed.
    files: dict[str, Any] = {name: str(export.file(name)) for name in export.manifest["files"]}
    files[MANIFEST] = str(export.path / MANIFEST)
    api = HfApi(library_name="hornbook")
    try:
        made = api.create_repo(repository, private=not public, exist_ok=True)
        there = api.model_info(made.repo_id)
        if not there.private and not public:
            raise HornbookError(
                f"{repository}: exists on the hub and is public; add --public (in a recipe export.public), or choose "
                "another name"
            )
        card = (export.path / CARD).read_text("utf-8").replace(PLACE, f'"{made.repo_id}"')
        stored = [one.rfilename for one in there.siblings or ()]
        stale = [name for name in stored if name.startswith(_OWN) and name not in files]
        size = sum(one["bytes"] for one in export.manifest["files"].values()) / 1e6
        logger.info("uploading %d files, %.0f MB, to %s", len(files) + 1, size, made.repo_id)
        api.create_commit(
            made.repo_id,
            [
                CommitOperationAdd(CARD, card.encode()),
                *(CommitOperationAdd(name, place) for name, place in sorted(files.items())),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message="Export by hornbook",
        )
    except HornbookError:
        raise
    except Exception as error:  # of the hub's client, its HTTP library and the network
        raise _refused(repository, error) from None
    return str(made)


def _refused(repository: str, error: Exception) -> HornbookError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == HTTPStatus.UNAUTHORIZED:
        return HornbookError(f"{repository}: the hub does not accept the token; run `hf auth login` or set HF_TOKEN")
    if status == HTTPStatus.FORBIDDEN:
        return HornbookError(
            f"{repository}: the token has no right to write there; take one with write access, or a name of your own"
        )
    kind = Unreachable if hub.is_out_of_reach(error) else HornbookError
    return kind(f"{repository}: the upload failed: {one_line(error, 200)}; run the same command again")
