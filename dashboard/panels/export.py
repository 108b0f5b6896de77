"""Export of a student as a folder for other programs, zipped for the browser's download.

A process of its own runs `retort export`, so that the dashboard never loads a network.
"""

import io
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from threading import Lock

import streamlit as st

from dashboard.launch import server_environment
from dashboard.panels.messages import show_problem
from dashboard.queries import DEFAULT_STORE
from search.errors import RetortError
from search.evaluation.sameness import check_same
from search.files.filestore import FolderStore
from search.records import StudyRecord, TrialRecord, TrialState
from search.storage.storage import safe_url

_PATIENCE_S = 300
_COMMAND = "from search.cli.main import main; main()"


class ExportError(Exception):
    """A failed export, with the reason."""


@st.cache_resource
def _lock() -> Lock:
    """Return the lock for packing: all visitors together pack one student at a time."""
    return Lock()


def show_export(study: StudyRecord, trial: TrialRecord, *, url: str, key: str) -> None:
    """Show a button that packs the trial's student, and the command that does the same."""
    try:
        folder = artifact_folder(study, trial)
    except RetortError as error:
        show_problem("The student can't be read.", str(error))
        return
    if trial.state is not TrialState.COMPLETE or folder is None:
        st.caption("Only a complete trial has a student to export.")
        return
    st.code(export_command(trial, url=url), language="bash", wrap_lines=True)
    if not folder.is_dir():
        st.caption("The artifact is not on this machine. Run the command where the search ran.")
        return
    name = f"{trial.study}-{trial.number}"
    held = st.session_state.get(key)
    if held is not None and held[0] == (trial.study, trial.number):
        st.download_button(
            "Download",
            held[1],
            file_name=f"{name}.zip",
            mime="application/zip",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            key=f"{key}.download",
        )
    elif st.button("Export", icon=":material/package_2:", type="primary", key=f"{key}.export"):
        _export(trial, url=url, key=key)


def artifact_folder(study: StudyRecord, trial: TrialRecord) -> Path | None:
    """Return the folder of the trial's student, fetched if necessary; None if it has none.

    Raises:
        ArtifactError: the folder is damaged, out of reach, or not the one that the store records.
    """
    if trial.outcome is None or trial.outcome.artifact is None:
        return None
    artifact = trial.outcome.artifact
    folder = FolderStore.of(study.artifacts).fetched(artifact.path)
    if folder.exists():
        check_same(folder, artifact)
    return folder


def export_command(trial: TrialRecord, *, url: str) -> str:
    """Return the command that writes this trial's student into a folder.

    The command leaves out a URL that holds a secret, and reads it from RETORT_STORE.
    """
    return f"{command('export', trial, url=url)} -o student-{trial.number}"


def command(name: str, trial: TrialRecord, *, url: str) -> str:
    """Return a retort command about a trial, with the options that find the trial."""
    words = ["retort", name, str(trial.number), "--study", trial.study]
    if url not in (DEFAULT_STORE, "") and safe_url(url) == url:
        words += ["--store", url]
    return shlex.join(words)


def _export(trial: TrialRecord, *, url: str, key: str) -> None:
    try:
        with st.spinner("Exporting and checking the student…"), _lock():
            packed = packed_student(trial, url=url)
    except ExportError as error:
        show_problem("The student could not be exported.", str(error))
        return
    st.session_state[key] = ((trial.study, trial.number), packed)
    st.rerun()


def packed_student(trial: TrialRecord, *, url: str) -> bytes:
    """Return the folder that `retort export` writes, as a zip file.

    Raises:
        ExportError: the export failed; the message is that of `retort export`.
    """
    name = f"{trial.study}-{trial.number}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, name)
        # The store's URL may hold a password, which a command line would show to others.
        environment = dict(server_environment(url, study=None))
        words = ["export", str(trial.number), f"--study={trial.study}", f"--output={folder}"]
        try:
            done = subprocess.run(  # noqa: S603 - our own command, and no shell
                [sys.executable, "-P", "-c", _COMMAND, *words],
                env=environment,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"the export took longer than {_PATIENCE_S} seconds") from error
        if done.returncode:
            raise ExportError(done.stderr.strip()[-2000:] or f"exit status {done.returncode}")
        return _zipped(folder)


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    return packed.getvalue()
