"""A finished folder: manifest, content key, atomic publish, resume.

Every stage hands on one artefact: a folder with `manifest.json` (what it is, what it was made from, checksums
of its files) and `run.json` (what varies from run to run: seconds, memory, host). A stage works in a sibling
folder `.NAME.partial`, which one rename turns into the finished artefact; a run that died leaves nothing that
looks finished, and what it kept under `resume/` is found again by a run with the same key.
"""

from hornbook.store.artifact import MANIFEST, RESUME, RUN, Artifact, Destination, StageContext, Store, load
from hornbook.store.files import write_json, write_text
from hornbook.store.keys import checksum, content_key, fingerprint, known_checksum, result_config
from hornbook.store.publish import make, partial_path

__all__ = [
    "MANIFEST",
    "RESUME",
    "RUN",
    "Artifact",
    "Destination",
    "StageContext",
    "Store",
    "checksum",
    "content_key",
    "fingerprint",
    "known_checksum",
    "load",
    "make",
    "partial_path",
    "result_config",
    "write_json",
    "write_text",
]
