"""A check that a folder contains the artifact in the store. The dashboard can use it: no torch."""

from pathlib import Path

from search.errors import ArtifactError
from search.files.atomic import CHECKSUMS, file_digest
from search.records import ArtifactRecord


def check_same(folder: Path, artifact: ArtifactRecord) -> None:
    """Raise ArtifactError unless `folder`'s SHA256SUMS is that of the artifact in the store.

    The folder can contain another student if two stores have a study of the same name and use the
    same artifacts folder.
    """
    listed = folder / CHECKSUMS
    if not listed.is_file() or file_digest(listed) != artifact.sha256:
        raise ArtifactError(
            f"{folder} must contain the student that the store records, but contains another one: "
            "a study of the same name has replaced it. Run the study again under another name"
        )
