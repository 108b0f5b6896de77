"""The sources of a teacher's weights: timm's pretrained weights, or a checkpoint."""

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import timm
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import DataInfo
from search.errors import TeacherError, shortened
from search.evaluation.artifact import read_provenance
from search.files.reading import DamagedFile, check_archive, read_json
from search.teachers.class_order import CONFIGURATION
from search.teachers.linear_probe import outputs_of
from search.training.checkpoint import UNLOADABLE
from spaces.students.timm_model import Timm

# Lightning's modules by the names that people give the network, DataParallel, torch.compile.
_WRAPPERS = ("model.", "net.", "module.", "_orig_mod.")

WEIGHTS_ADVICE = (
    "Without a network there are three ways: download the weights on a machine that reaches the "
    "hub, and copy the folder named by HF_HOME to this machine; set `pretrained: false`, and for a "
    "teacher `train: {}`; or set a teacher's `checkpoint:` to a local file"
)
"""What to do if pretrained weights can't be downloaded."""


def from_timm(settings: TeacherSettings, info: DataInfo) -> nn.Module:
    """Return the teacher's network with its given weights, and with the classes of these.

    A teacher that has no weights has random ones, and the data's classes.
    """
    if settings.checkpoint:
        return _from_checkpoint(settings, settings.checkpoint, info)
    return timm_network(settings, info, classes=_classes(settings, info))


def timm_network(
    settings: TeacherSettings, info: DataInfo, *, classes: int, blank: bool = False
) -> nn.Module:
    """Build the teacher's network before any checkpoint; `blank` also omits pretrained weights."""
    assert settings.model is not None
    size = _image_size(settings, info)
    try:
        return _timm(settings).build(
            classes=classes, channels=info.channels, image_size=size, blank=blank
        )
    except OSError as error:
        raise TeacherError(
            f"the weights of {settings.model} can't be downloaded: {error}. {WEIGHTS_ADVICE}"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise TeacherError(f"teacher.model {error}") from error


def _timm(settings: TeacherSettings) -> Timm:
    return Timm(model=settings.model or "", pretrained=settings.pretrained, stem=settings.stem)


def _classes(settings: TeacherSettings, info: DataInfo) -> int:
    """Return the number of outputs to build: that of pretrained weights, or of the data."""
    cfg = timm.get_pretrained_cfg(settings.model or "") if settings.pretrained else None
    return cfg.num_classes if cfg else len(info.classes)


def _image_size(settings: TeacherSettings, info: DataInfo) -> int:
    cfg = timm.get_pretrained_cfg(settings.model or "")
    if settings.pretrained and not settings.train and cfg is not None:
        return settings.image_size or int(cfg.input_size[-1])
    return settings.image_size or info.image_size


def _from_checkpoint(settings: TeacherSettings, path: Path, info: DataInfo) -> nn.Module:
    """Return the network with all of the checkpoint's weights, and with its number of classes."""
    try:
        check_archive(path)
        loaded = load_state_dict(str(path), weights_only=True)
        network = timm_network(settings, info, classes=len(info.classes), blank=True)
        weights = _without_prefix(loaded, network)
        _check_names(weights, network)
        return _timm(settings).build_from(
            weights,
            classes=_outputs_in(weights, network),
            channels=info.channels,
            image_size=_image_size(settings, info),
        )
    except FileNotFoundError:
        raise TeacherError(
            f"teacher.checkpoint must be a file, but {path} does not exist"
        ) from None
    except (OSError, SafetensorError, *UNLOADABLE) as error:
        if isinstance(error.__cause__, pickle.UnpicklingError):
            # timm's message advises to load the file without a check, which would run its code.
            raise TeacherError(
                f"{path} must be a checkpoint that contains only tensors, but it is damaged or "
                "contains other Python objects, which could run code: save the network's "
                "state_dict() with torch.save or safetensors"
            ) from error
        reason = shortened(error) or type(error).__name__
        raise TeacherError(
            f"{path} must contain weights of the teacher's network, but can't be loaded: {reason}"
        ) from error


def _check_names(weights: Mapping[str, Tensor], network: nn.Module) -> None:
    """Raise ValueError unless the weights have a tensor of the network."""
    if not weights.keys() & network.state_dict().keys():
        raise ValueError("no tensor has the name of a tensor of the teacher's network")


def _outputs_in(weights: Mapping[str, Tensor], network: nn.Module) -> int:
    """Return the number of classes of the weights; 0 if they have no classifier."""
    name = network.pretrained_cfg.get("classifier")  # type: ignore[union-attr, operator]
    name = name[0] if isinstance(name, tuple | list) else name
    weight = weights.get(f"{name}.weight")
    return 0 if weight is None else len(weight)


def _without_prefix(weights: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
    """Return the network's weights without the prefix that a training framework gave them.

    Lightning names weights by the attribute that holds the network, and stores the weights of other
    attributes, such as a loss, beside them. Wrappers such as `torch.compile` add their own.
    """
    known = network.state_dict().keys()
    found = Counter(
        name[:end]
        for name in map(str, weights)
        for end in _prefix_ends(name)
        if name[end:] in known
    )
    if not found:
        return weights
    prefix, _ = found.most_common(1)[0]
    return {
        name[len(prefix) :]: weight for name, weight in weights.items() if name.startswith(prefix)
    }


def _prefix_ends(name: str) -> Iterator[int]:
    """Yield the length of each prefix of known wrappers; the first is 0, without a prefix."""
    end = 0
    yield end
    while wrapper := next((one for one in _WRAPPERS if name.startswith(one, end)), None):
        end += len(wrapper)
        yield end


def preprocessing(
    settings: TeacherSettings, network: nn.Module, info: DataInfo
) -> tuple[int, tuple[Sequence[float], Sequence[float]]]:
    """Return the image size and the (mean, std) that a teacher expects.

    Args:
        settings: the teacher's settings.
        network: its network, still with the classes of its weights.
        info: the description of the data.
    """
    if settings.exported:
        data = read_provenance(settings.exported).data
        return data.image_size, (data.mean, data.std)
    known = _configuration(settings, network, info)
    size = settings.image_size or info.image_size
    if known and settings.pretrained and not (settings.train or settings.image_size):
        size = int(known["input_size"][-1])
    if settings.mean and settings.std:
        return size, (settings.mean, settings.std)
    if known and info.channels == len(known["mean"]):
        return size, (known["mean"], known["std"])
    if known and info.channels == 1:
        # timm sums the first layer's weights over colours: one grey channel acts as three equal
        # ones.
        return size, ([fmean(known["mean"])], [fmean(known["std"])])
    return size, (info.mean, info.std)


def _configuration(
    settings: TeacherSettings, network: nn.Module, info: DataInfo
) -> Mapping[str, Any] | None:
    """Return timm's configuration of the weights; None if it is unknown.

    A checkpoint may have one in a `config.json` beside it. Without one, a checkpoint with as many
    classes as timm's own weights, and with other classes than the data, is a copy of these.
    """
    known: Mapping[str, Any] | None = getattr(network, "pretrained_cfg", None)
    if settings.pretrained:
        return known
    if settings.checkpoint:
        if beside := _configuration_beside(settings.checkpoint):
            return beside
        cfg = timm.get_pretrained_cfg(settings.model or "")
        outputs = outputs_of(network)
        if cfg is not None and outputs == cfg.num_classes != len(info.classes):
            return known
    return None


def _configuration_beside(checkpoint: Path) -> Mapping[str, Any] | None:
    """Return the configuration that timm writes beside the weights of a folder for the hub."""
    try:
        found = read_json(checkpoint.with_name(CONFIGURATION))
    except (OSError, DamagedFile):
        return None
    inner = found.get("pretrained_cfg") if isinstance(found, dict) else None
    if not isinstance(inner, dict):
        return None
    numbers = [inner.get(key) for key in ("mean", "std")]
    lists = [one for one in numbers if isinstance(one, list) and one]
    are_numbers = all(isinstance(value, int | float) for one in lists for value in one)
    return inner if len(lists) == 2 and are_numbers else None
