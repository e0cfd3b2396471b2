"""A finished folder: manifest, content key, atomic publish, resume.

Every stage produces one artefact: a folder with `manifest.json` (stage, settings, keys of the inputs, checksums of
the files) and `run.json` (what varies between runs: seconds, memory, host). A stage works in the sibling folder
`.NAME.partial`, which is renamed when it is finished. A run that died leaves nothing that looks finished; a run with
the same key goes on from what it left under `resume/`.
"""

from hornbook.store.artifact import MANIFEST, RESUME, RUN, Artifact, Destination, StageContext, Store, load
from hornbook.store.files import write_json, write_text
from hornbook.store.keys import checksum, content_key, fingerprint, known_checksum, result_config
from hornbook.store.publish import beside, is_finished, make, partial_path

__all__ = [
    "MANIFEST",
    "RESUME",
    "RUN",
    "Artifact",
    "Destination",
    "StageContext",
    "Store",
    "beside",
    "checksum",
    "content_key",
    "fingerprint",
    "is_finished",
    "known_checksum",
    "load",
    "make",
    "partial_path",
    "result_config",
    "write_json",
    "write_text",
]
