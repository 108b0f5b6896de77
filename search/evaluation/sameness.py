"""A check that a folder contains the student in the store; without torch, for the dashboard."""

from pathlib import Path

from search.errors import ArtifactError
from search.files.atomic import CHECKSUMS, file_digest
from search.records import ArtifactRecord


def check_same(folder: Path, artifact: ArtifactRecord) -> None:
    """Raise ArtifactError unless the list in `folder` is that of the artifact in the store.

    Two stores that contain studies of one name may have put their students into one folder.
    """
    listed = folder / CHECKSUMS
    if not listed.is_file() or file_digest(listed) != artifact.sha256:
        raise ArtifactError(
            f"{folder} holds another student than the one that the store knows: a study of the "
            "same name has written over it; run the study again under a name of its own"
        )
