"""A finished student on disk: a folder, written completely or not at all.

recipe.json        the recipe, and the information to rebuild the network
model.safetensors  the float32 weights, after pruning
model.…            the runtime's file, which is served and was measured
predictions.npz    the student's predictions for the validation images
SHA256SUMS         the checksums of the other files
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, StrictInt, StrictStr, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from search.data.dataset import DataInfo
from search.errors import ArtifactError, shortened
from search.evaluation.sameness import check_same
from search.files.atomic import CHECKSUMS, damaged_files
from search.files.reading import read_json
from search.records import ArtifactRecord
from search.targets.registry import DEFAULT_RUNTIME, runtime
from search.targets.target import Runtime
from spaces.axes.pruning import Cut
from spaces.distributions import Scalar
from spaces.pruning.structured.cuts import read_cuts, replay_cuts
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe


class _Document(BaseModel):
    """recipe.json, before its parts are checked."""

    format: StrictInt
    params: dict[str, Any]
    cuts: list[Any]
    data: dict[str, Any]
    origin: dict[str, Any]
    runtime: StrictStr = DEFAULT_RUNTIME  # earlier versions had only this one


LARGEST_IMAGE = 4096
"""The largest side of an image, in pixels. A larger one could exhaust the memory."""

_PARAMS: TypeAdapter[dict[str, Scalar]] = TypeAdapter(dict[str, Scalar])
_CUTS: TypeAdapter[list[Any]] = TypeAdapter(
    list[tuple[str, bool | str, list[Annotated[int, Field(ge=0)]]]]
)
_DATA = TypeAdapter(DataInfo)

FORMAT = 2
RECIPE = "recipe.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The content of recipe.json: it identifies a student and suffices to rebuild its network.

    Attributes:
        params: the recipe, flat.
        cuts: the channels that pruning removed; `replay_cuts` applies them to an unpruned network.
        data: the data that the student was trained on.
        origin: study, trial, seed, hashes and versions.
        runtime: the name of the runtime that serves it.
    """

    params: Mapping[str, Scalar]
    cuts: tuple[Cut, ...]
    data: DataInfo
    origin: Mapping[str, Scalar]
    runtime: str = DEFAULT_RUNTIME

    @property
    def served_by(self) -> Runtime:
        """The runtime that serves it.

        Raises:
            ArtifactError: no runtime of that name is installed.
        """
        try:
            return runtime(self.runtime)
        except ValueError as error:
            raise ArtifactError(
                f"the runtime of a student {error}. Install the plugin that adds it, or export the "
                "student of a trial that another runtime serves"
            ) from error

    @property
    def timm_model(self) -> str | None:
        """The timm model that the unpruned network has the weights of, by name and shape."""
        return Recipe.from_params(self.params).student.timm_model

    @property
    def is_timms_own(self) -> bool:
        """Whether timm can build the network of these weights from only the model's name."""
        return not self.cuts and Recipe.from_params(self.params).student.is_timms_own

    @property
    def is_float(self) -> bool:
        """Whether the served file contains the float32 weights as they were trained."""
        return self.params["quantization"] == Float32.name

    @property
    def is_tuned(self) -> bool:
        """Whether the weights were trained with fake quantization of the served number format."""
        return Recipe.from_params(self.params).quantization.tuning_share > 0


def write_weights(path: Path, network: nn.Module) -> None:
    """Write the network's parameters and buffers as safetensors."""
    write_tensors(path, network.state_dict())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors; as copies, since safetensors refuses shared memory."""
    copies = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    save_file(copies, path)


def write_student(folder: Path, network: nn.Module, provenance: Provenance) -> None:
    """Write recipe.json and model.safetensors into `folder`."""
    write_weights(folder / WEIGHTS, network)
    document = {
        "format": FORMAT,
        "params": dict(provenance.params),
        "cuts": provenance.cuts,
        "data": provenance.data.to_json(),
        "origin": dict(provenance.origin),
        "runtime": provenance.runtime,
    }
    (folder / RECIPE).write_text(json.dumps(document, indent=1))


def read_provenance(folder: Path) -> Provenance:
    """Read the provenance from recipe.json.

    Raises:
        ArtifactError: a file is missing or damaged, or a newer retort wrote it.
    """
    document = read_recipe(folder)
    try:
        return Provenance(
            params=_PARAMS.validate_python(document["params"]),
            cuts=read_cuts(_CUTS.validate_python(document["cuts"])),
            data=_checked_data(document["data"]),
            origin=document["origin"],
            runtime=document.get("runtime", DEFAULT_RUNTIME),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = shortened(error)
        raise ArtifactError(f"{folder / RECIPE} can't be read: {reason}") from error


def read_recipe(folder: Path) -> dict[str, Any]:
    """Read the whole recipe.json, as JSON types.

    Raises:
        ArtifactError: a file is missing or damaged, or a newer retort wrote it.
    """
    check_whole(folder)
    try:
        document: dict[str, Any] = read_json(folder / RECIPE)
        _Document.model_validate(document)
    except (OSError, ValueError) as error:
        reason = shortened(error)
        raise ArtifactError(f"{folder / RECIPE} can't be read: {reason}") from error
    if document["format"] > FORMAT:
        raise ArtifactError(
            f"{folder} must be of format {FORMAT} or older, but is of format {document['format']}: "
            "read it with a newer retort"
        )
    return document


def load_network(folder: Path) -> nn.Module:
    """Return the student's float32 network, in evaluation mode.

    Raises:
        ArtifactError: as `read_provenance`, or the weights don't fit the recipe.
    """
    provenance = read_provenance(folder)
    data = provenance.data
    try:
        # The dependency graph is traced with autograd, so it must be on here.
        with torch.inference_mode(mode=False), torch.enable_grad():
            network = Recipe.from_params(provenance.params).student.build(
                classes=len(data.classes),
                channels=data.channels,
                image_size=data.image_size,
                blank=True,
            )
            example = torch.zeros(1, data.channels, data.image_size, data.image_size)
            replay_cuts(network, example, provenance.cuts)
            network.load_state_dict(load_file(folder / WEIGHTS))
    # The code that applies cuts and weights does not check them, so any of these can occur.
    except (
        OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, SafetensorError,
    ) as error:  # fmt: skip
        reason = shortened(error)
        raise ArtifactError(f"the student in {folder} can't be rebuilt: {reason}") from error
    return network.eval()


def _checked_data(values: dict[str, Any]) -> DataInfo:
    """Return a student's training data; check that a network can be built for them."""
    info = _DATA.validate_python(DataInfo.from_json(values).to_json())
    if info.channels not in (1, 3) or not 1 <= info.image_size <= LARGEST_IMAGE:
        raise ValueError(
            f"images must have 1 or 3 channels and up to {LARGEST_IMAGE} pixels a side, but got "
            f"{info.channels} and {info.image_size}"
        )
    if not len(info.mean) == len(info.std) == info.channels or not info.classes:
        raise ValueError(
            f"each of the {info.channels} channels must have a mean and a deviation, and there "
            f"must be classes, but got {info.mean}, {info.std} and {len(info.classes)} classes"
        )
    return info


def check_own(folder: Path, artifact: ArtifactRecord) -> None:
    """Raise ArtifactError unless `folder` is complete and is the artifact in the store."""
    check_whole(folder)
    check_same(folder, artifact)


def check_whole(folder: Path) -> None:
    """Raise ArtifactError unless every file in `folder` has its recorded checksum."""
    if not folder.is_dir():
        raise ArtifactError(f"a student must be a folder, but {folder} is not a folder")
    if not any((folder / name).exists() for name in (CHECKSUMS, RECIPE)):
        raise ArtifactError(
            f"{folder} must contain a student, but has neither {RECIPE} nor {CHECKSUMS}: name a "
            "folder that `retort export` wrote"
        )
    try:
        damaged = damaged_files(folder)
    except OSError as error:
        raise ArtifactError(f"{folder} can't be read: {error}") from error
    if damaged:
        raise ArtifactError(
            f"the files in {folder} must have their recorded checksums, but these differ: "
            f"{', '.join(damaged)}. Export the student again, or run the trial again"
        )
