"""An artifact to something that others load: a folder with weights, recipe, ONNX and a model card.

README.md          a model card
config.json        timm's: architecture, classes, preprocessing
model.safetensors  the float weights, after pruning
model.onnx         what was measured
recipe.json        what was chosen, and where it comes from
SHA256SUMS         of the others
"""

import shutil
from pathlib import Path

from timm.models._hub import save_config_for_hf
from torch import nn

from search.artifacts import (
    RECIPE,
    SERVED,
    WEIGHTS,
    check_whole,
    load_network,
    read_provenance,
)
from search.data.dataset import DataInfo
from search.errors import BadInput
from search.files import written_whole
from search.model_card import model_card
from search.records import StudyRecord, TrialRecord, TrialState


def export_student(
    study: StudyRecord, trial: TrialRecord, destination: Path, *, force: bool = False
) -> Path:
    """Writes a complete trial's student to the folder `destination`, whole or not at all.

    Raises:
        BadInput: the trial has no student; or the folder is there and `force` is not given, or
            holds something else than an earlier export.
        ArtifactError: the trial's artifact is missing or damaged.
    """
    if trial.state is not TrialState.COMPLETE or not trial.outcome or not trial.outcome.artifact:
        raise BadInput(
            f"only a complete trial has a student, but trial {trial.number} of {trial.study} is "
            f"{trial.state}: `retort trials --frontier` lists those worth exporting"
        )
    _check_destination(destination, force=force)
    source = Path(study.artifacts) / trial.outcome.artifact.path
    check_whole(source)
    provenance = read_provenance(source)
    with written_whole(destination.absolute()) as folder:
        for name in (RECIPE, WEIGHTS, SERVED):
            shutil.copyfile(source / name, folder / name)
        _write_config(folder / "config.json", load_network(source), provenance.data)
        (folder / "README.md").write_text(model_card(study, trial, provenance))
    return destination


def load(folder: Path | str) -> nn.Module:
    """The float network of an exported student, pruned or not, in evaluation mode.

    Raises:
        ArtifactError: the folder is no export, is damaged, or was written by a newer retort.
    """
    return load_network(Path(folder))


def _check_destination(folder: Path, *, force: bool) -> None:
    if not folder.exists():
        return
    if not force:
        raise BadInput(f"{folder} is there already: name another folder, or pass --force")
    # Someone's home folder must survive `-o ~ --force`.
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / RECIPE).is_file()):
        raise BadInput(
            f"--force replaces an earlier export, but {folder} is none (it has no {RECIPE}): name "
            "another folder"
        )


def _write_config(path: Path, network: nn.Module, data: DataInfo) -> None:
    """config.json as timm writes it, with this data's classes and preprocessing."""
    shape = (data.channels, data.image_size, data.image_size)
    save_config_for_hf(
        network,
        str(path),
        model_config={"label_names": list(data.classes)},
        data_config={
            "input_size": shape,
            "mean": data.mean,
            "std": data.std,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
        },
    )
