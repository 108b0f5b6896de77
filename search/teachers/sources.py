"""The sources of a teacher's weights: timm's pretrained weights, or a checkpoint."""

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import timm
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor, nn

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import DataInfo
from search.errors import TeacherError, shortened
from search.evaluation.artifact import read_provenance
from search.files.reading import check_archive
from search.teachers.linear_probe import classifier_name, with_classes
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
    network = timm_network(settings, info, classes=_classes(settings, info))
    if settings.checkpoint:
        _load_checkpoint(network, settings.checkpoint, strict=settings.train is None)
    return network


def timm_network(
    settings: TeacherSettings, info: DataInfo, *, classes: int, blank: bool = False
) -> nn.Module:
    """Build the teacher's network before any checkpoint; `blank` also omits pretrained weights."""
    assert settings.model is not None
    try:
        return Timm(model=settings.model, pretrained=settings.pretrained).build(
            classes=classes,
            channels=info.channels,
            image_size=_image_size(settings, info),
            blank=blank,
        )
    except OSError as error:
        raise TeacherError(
            f"the weights of {settings.model} can't be downloaded: {error}. {WEIGHTS_ADVICE}"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise TeacherError(f"teacher.model {error}") from error


def _classes(settings: TeacherSettings, info: DataInfo) -> int:
    """Return the number of outputs to build; untrained use of pretrained weights fixes it."""
    if settings.pretrained and not settings.train:
        cfg = timm.get_pretrained_cfg(settings.model or "")
        return cfg.num_classes if cfg else len(info.classes)
    return len(info.classes)


def _image_size(settings: TeacherSettings, info: DataInfo) -> int:
    cfg = timm.get_pretrained_cfg(settings.model or "")
    if settings.pretrained and not settings.train and cfg is not None:
        return settings.image_size or int(cfg.input_size[-1])
    return settings.image_size or info.image_size


def _load_checkpoint(network: nn.Module, path: Path, *, strict: bool) -> None:
    """Load the checkpoint's weights; unless `strict`, skip tensors whose shapes differ."""
    try:
        check_archive(path)
        weights = _without_prefix(load_state_dict(str(path), weights_only=True), network)
        if strict:
            _set_outputs(network, weights)
        else:
            shapes = {key: value.shape for key, value in network.state_dict().items()}
            weights = {key: w for key, w in weights.items() if shapes.get(key) == w.shape}
            if not weights:
                raise ValueError("no tensor has the name and the shape of a tensor of the teacher")
        network.load_state_dict(weights, strict=strict)
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


def _set_outputs(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Set the network's number of outputs to that of the weights; it is checked later."""
    weight = weights.get(f"{classifier_name(network)}.weight")
    if weight is not None and weight.ndim == 2:
        with_classes(network, len(weight))


def preprocessing(
    settings: TeacherSettings, network: nn.Module, info: DataInfo
) -> tuple[int, tuple[Sequence[float], Sequence[float]]]:
    """Return the image size and the (mean, std) that a teacher without further training expects."""
    if settings.exported:
        data = read_provenance(settings.exported).data
        return data.image_size, (data.mean, data.std)
    known = getattr(network, "pretrained_cfg", None) if settings.pretrained else None
    size = settings.image_size or (known["input_size"][-1] if known else info.image_size)
    if settings.mean and settings.std:
        return size, (settings.mean, settings.std)
    if known and info.channels == len(known["mean"]):
        return size, (known["mean"], known["std"])
    if known and info.channels == 1:
        # timm sums the first layer's weights over colours: one grey channel acts as three equal
        # ones.
        return size, ([fmean(known["mean"])], [fmean(known["std"])])
    return size, (info.mean, info.std)
