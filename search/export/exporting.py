"""Export of an artifact to a folder that others load: weights, recipe and a model card.

README.md                a model card
config.json              of a timm network: its architecture, classes and preprocessing, for timm
model.safetensors        the float32 weights, after pruning
model.…                  the measured file of its runtime
recipe.json              the recipe, the measurements, and their origin
predictions.npz          the student's predictions for the validation and the test images; for a
                         refit, which was trained on the former, only for the test images
teacher_predictions.npz  the teacher's predictions for the same images
preprocess.py            reads an image file as the student's input; see `search.data.preprocess`
SHA256SUMS               the checksums of the other files

and the student in the further formats that were requested; see `search.export.formats`.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from search.analysis.finals import training_notes
from search.analysis.floor_notes import floor_notes
from search.data.dataset import DataInfo
from search.data.preprocess import normalized, square, upright
from search.errors import BadInput
from search.evaluation.artifact import (
    RECIPE,
    WEIGHTS,
    Provenance,
    check_own,
    load_network,
    read_provenance,
    write_weights,
)
from search.evaluation.predictions_file import (
    PREDICTIONS,
    TEACHER,
    kept_predictions,
    write_predictions,
)
from search.export.float_network import with_quantized_weights
from search.export.formats import ExportFormat
from search.export.model_card import Report, model_card
from search.export.preprocess_file import write_preprocess
from search.export.record import ExportedMeasurements, write_export_record
from search.export.timm_config import write_config
from search.export.writers import WriterSource, write_formats
from search.files.atomic import remove_abandoned, written_whole
from search.files.filestore import FolderStore
from search.objectives.budget import stored_budget
from search.objectives.goal import stored_goal
from search.records import ArtifactRecord, StudyRecord, TrialRecord, TrialState
from search.targets.registry import runtime_of_file
from search.targets.target import ServedModel

TEACHER_PREDICTIONS = "teacher_predictions.npz"


def export_student(
    study: StudyRecord,
    trial: TrialRecord,
    destination: Path,
    *,
    formats: Collection[ExportFormat] = (),
    force: bool = False,
    trials: Sequence[TrialRecord] = (),
) -> Path:
    """Write a complete trial's student to the folder `destination`, completely or not at all.

    Args:
        study: the study of the trial.
        trial: the trial to export.
        destination: the folder to write.
        formats: the formats to write in addition to the measured file.
        force: replace an earlier export.
        trials: the trials of the study; the card of a finalist tells how its seeds vary.

    Raises:
        BadInput: the trial has no student; a format can't represent the student; the folder
            exists and `force` is not given; the folder contains something other than an earlier
            export; or the folder is inside the study's artifact folder.
        ArtifactError: the trial's artifact is missing, damaged or unreachable.
        DiskError: the disk has no room for it.
    """
    record = _artifact_of(trial)
    artifacts = FolderStore.of(study.artifacts)
    _check_destination(destination, artifacts.folder, force=force)
    artifact = artifacts.fetched(record.path)
    check_own(artifact, record)
    formats = tuple(dict.fromkeys(formats))
    provenance = read_provenance(artifact)
    network = with_quantized_weights(load_network(artifact), provenance)
    with written_whole(destination.absolute()) as folder:
        for file in (RECIPE, provenance.served_by.file):
            shutil.copyfile(artifact / file, folder / file)
        write_weights(folder / WEIGHTS, network)
        write_export_record(folder, study, trial)
        write_config(folder, network, provenance)
        write_preprocess(folder)
        source = WriterSource(folder=folder, network=network, provenance=provenance)
        write_formats(source, formats, folder)
        notes = training_notes(trial, trials, stored_goal(study.config))
        notes += floor_notes(trial, trials, stored_budget(study.config))
        _write_findings(folder, study, trial, provenance, formats=formats, notes=notes)
    remove_abandoned(destination.absolute())
    return destination


def _write_findings(
    folder: Path,
    study: StudyRecord,
    trial: TrialRecord,
    provenance: Provenance,
    *,
    formats: tuple[ExportFormat, ...],
    notes: Sequence[str],
) -> None:
    """Write the predictions of student and teacher, and the model card."""
    artifacts = FolderStore.of(study.artifacts)
    own = kept_predictions(artifacts, _artifact_of(trial).path)
    teacher_predictions = kept_predictions(artifacts, TEACHER)
    write_predictions(folder / PREDICTIONS, own)
    if teacher_predictions:
        write_predictions(folder / TEACHER_PREDICTIONS, teacher_predictions)
    report = Report(
        study=study.name,
        trial=trial.number,
        goal=stored_goal(study.config),
        floors=stored_budget(study.config).floors(),
        measured=ExportedMeasurements.of(study, trial),
        provenance=provenance,
        student=own.get("test"),
        teacher=teacher_predictions.get("test"),
        formats=formats,
        loaded_by=_loaded_by(folder, provenance, formats),
        notes=tuple(notes),
    )
    (folder / "README.md").write_text(model_card(report), encoding="utf-8")


def _loaded_by(
    folder: Path, provenance: Provenance, formats: Collection[ExportFormat]
) -> dict[str, str]:
    """Return the runtime that loads each file, with its oldest version, where that is known."""
    others = [(folder / each.file, runtime_of_file(folder / each.file)) for each in formats]
    measured = folder / provenance.served_by.file
    found = {}
    for path, runtime in ((measured, provenance.served_by), *others):
        if path.suffix == runtime.suffix and (version := runtime.least_version(path)):
            found[path.name] = f"{runtime.title} {version}"
    return found


class Transform:
    """Transform from an image to the student's input, the same as for its training images.

    It reads an image that Pillow has opened as preprocess.py reads its file. A JPEG of more than
    2²⁶ pixels must not be decoded yet, so that it can be decoded at half its size.

    Args:
        data: the student's data.
    """

    def __init__(self, data: DataInfo) -> None:
        self._data = data

    def __call__(self, image: Image.Image) -> Tensor:
        """Return [channels, size, size], float32, normalised."""
        data = self._data
        pixels = square(upright(image, data.channels), data.image_size)
        return torch.from_numpy(normalized(pixels, data.mean, data.std))


class ServedStudent(nn.Module):
    """The measured file as a torch module, run by its runtime; it can't be trained.

    Args:
        served: the file, loaded.
    """

    def __init__(self, served: ServedModel) -> None:
        super().__init__()
        self._served = served

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [batch, classes] of normalised images [batch, channels, height, width]."""
        return torch.from_numpy(self._served.predict(images.cpu().numpy()))


class Loaded(NamedTuple):
    """An exported student: `model, transform, labels = load(folder)`."""

    model: nn.Module
    transform: Transform
    labels: tuple[str, ...]


def load(folder: Path | str) -> Loaded:
    """Load an exported student as it was measured, in evaluation mode.

    The student may be pruned, quantized, both, or neither. A float32 student is a torch network
    that can be trained further. For a quantized student, the model runs the measured file in its
    runtime; `search.evaluation.artifact.load_network` returns the float32 network before
    quantization.

    Raises:
        ArtifactError: the folder is not an export, is damaged, or was written by a newer retort;
            or its runtime is not installed.
    """
    folder = Path(folder)
    provenance = read_provenance(folder)
    network = load_network(folder) if provenance.is_float else _served(folder, provenance)
    data = provenance.data
    return Loaded(network.eval(), Transform(data), data.classes)


def _served(folder: Path, provenance: Provenance) -> ServedStudent:
    runtime = provenance.served_by
    return ServedStudent(runtime.load(folder / runtime.file, threads=1))


def _artifact_of(trial: TrialRecord) -> ArtifactRecord:
    """Return the record of a complete trial's artifact."""
    if trial.state is not TrialState.COMPLETE or not trial.outcome or not trial.outcome.artifact:
        raise BadInput(
            f"only a complete trial has a student, but trial {trial.number} of {trial.study} is "
            f"{trial.state}: list the best ones with `retort trials --frontier`"
        )
    return trial.outcome.artifact


def _check_destination(folder: Path, artifacts: Path, *, force: bool) -> None:
    if folder.absolute().resolve().is_relative_to(artifacts.absolute().resolve()):
        raise BadInput(
            f"the export must be outside of the study's artifacts folder {artifacts}, but {folder} "
            "is inside it: name another folder"
        )
    if not folder.exists():
        return
    if not force:
        raise BadInput(f"{folder} exists already: name another folder, or pass --force")
    # `-o ~ --force` must not delete a person's home folder.
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / RECIPE).is_file()):
        raise BadInput(
            f"--force replaces only an earlier export, but {folder} has no {RECIPE}: name another "
            "folder"
        )
