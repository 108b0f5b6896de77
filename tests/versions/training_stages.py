"""A few numbers of what the stages of data, training and teachers compute."""

import io
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional

from search.config.data_settings import DataSettings
from search.config.teacher_training import TeacherTraining
from search.data.dataset import NO_LABEL, normalize
from search.data.images import decode, square
from search.data.joined import JoinedPart
from search.data.parts import MemoryPart, StreamedPart
from search.data.pictures import ArrayPictures
from search.data.prepare import prepare
from search.data.preprocess import ORIENTATION
from search.data.views.augmentation import LEVELS, Augmentation
from search.data.views.crops import crops_of
from search.data.views.rendering import finished, resize_batch, view_of
from search.data.views.view import View
from search.files.filestore import FolderStore
from search.teachers.adapters import AdaptedTeacher, Ensemble
from search.teachers.finetune import TeacherTask, trained
from search.teachers.linear_probe import probed
from search.teachers.logits_cache import soft_targets
from search.teachers.prepared import Teacher
from search.training.balancing import epoch_order, label_loss_of
from search.training.distiller import Distiller
from search.training.drop_path import drop_path
from search.training.ema import MovingAverage
from search.training.ensemble import ensemble_logits
from search.training.erasing import erased
from search.training.mixup import draw_mixture
from search.training.trainer import sample_losses, train
from spaces.axes.label_loss import LOSSES, LabelLoss, class_weights
from spaces.distillation.layerwise import Layerwise
from spaces.training.standard import Standard
from tests.versions.problem import (
    CLASSES,
    SIZE,
    SMOOTH,
    VIEWS,
    Numbers,
    dataset,
    images,
    network,
    numbers,
    outputs,
    pixels,
    plan,
    teacher_context,
)


def _images(_: Path) -> Numbers:
    """Files of several modes, decoded; their squares, and those of crops."""
    noise = pixels(1, channels=3, side=12)[0].transpose(1, 2, 0)[:8]
    deep = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257)
    modes = {"colours": Image.fromarray(noise), "grey": deep, "palette": Image.fromarray(noise)}
    modes["palette"] = modes["palette"].quantize(8)
    modes["transparent"] = Image.fromarray(np.dstack([noise, noise[..., :1]]))
    modes["turned"] = Image.fromarray(noise)
    modes["turned"].getexif()[ORIENTATION] = 6
    (crop,) = crops_of(torch.tensor([3]), VIEWS.in_epoch(1), size=7)
    found: Numbers = {}
    for name, image in modes.items():
        file = io.BytesIO()
        image.save(file, "PNG", exif=image.getexif())
        for channels in (1, 3):
            decoded = decode(file, channels, name=name)
            shown = [square(decoded, 7), square(decoded, 7, crop)]
            found[f"{name} {channels}"] = numbers(np.stack(shown).astype(np.float64))
    return found


def _views(_: Path) -> Numbers:
    given, indices = torch.from_numpy(pixels(6)), torch.arange(6) + 40
    shifted = View(3, 5, Augmentation(shift=0.2, flip=True))
    found: Numbers = {
        "views": numbers(view_of(given, indices, shifted).double()),
        "resized": numbers(resize_batch(given, 20).double()),
    }
    for level in LEVELS:
        knobs = {"rotation": 10.0} if level == "standard" else {}
        augmentation = Augmentation.of_level(level, may_flip=True, knobs=knobs)
        view = View(3, 5, augmentation)
        crops = [astuple(one) for one in crops_of(indices, view, size=SIZE)]
        found[f"{level} view"] = numbers(view_of(given, indices, view, size=24).double())
        found[f"{level} finished"] = numbers(finished(given, indices, view).double())
        found[f"{level} crops"] = numbers([[part or 0.0 for part in crop] for crop in crops])
    return found


def _batches(_: Path) -> Numbers:
    """Of a part in memory, of one that is decoded as it goes, and of both as one."""
    labels = np.arange(6)
    held = MemoryPart(pixels=pixels(6), labels=labels)
    pictures = ArrayPictures.of(pixels(6).transpose(0, 2, 3, 1), "noise")
    streamed = StreamedPart(name="training", pictures=pictures, labels=labels + 6, size=SIZE)
    order = torch.tensor([7, 2, 11, 0, 5, 9])
    found: Numbers = {}
    for name, part in (
        ("held", held),
        ("streamed", streamed),
        ("both", JoinedPart(held, streamed)),
    ):
        batches = list(
            part.batches(4, order=order % len(part), view=VIEWS.in_epoch(1), drop_last=True)
        )
        shown = torch.cat([normalize(one.images, (0.4,), (0.3,)) for one in batches])
        found[name] = numbers(shown)
        found[f"{name} labels"] = [int(label) for one in batches for label in one.labels]
    return found


def _prepared(folder: Path) -> Numbers:
    """A file of arrays, divided."""
    np.savez(folder / "noise.npz", images=pixels(40)[:, 0], labels=np.arange(40) % 3)
    settings = DataSettings(source="npz", path=folder / "noise.npz", image_size=16, flip=False)
    found = prepare(settings, seed=0, cache=FolderStore.of(folder / "cache"))
    parts = {"training": found.training, "validation": found.validation, "test": found.test}
    shown = {
        name: numbers(torch.cat([one.images for one in part.batches(8)]).double())
        for name, part in parts.items()
    }
    labels = {f"{name} labels": part.labels.tolist() for name, part in parts.items()}
    return shown | labels | {"mean": [*found.info.mean], "std": [*found.info.std]}


def _balanced(_: Path) -> Numbers:
    labels = np.array([0] * 12 + [1] * 3 + [2] + [NO_LABEL] * 2)
    orders = [
        epoch_order(labels, seed=1, epoch=epoch, sampling="balanced").tolist() for epoch in (0, 1)
    ]
    training = Standard(class_weights="inverse")
    weights = label_loss_of(training, labels, classes=CLASSES, device="cpu").class_weights
    assert weights is not None
    return {"orders": [zlib.crc32(json.dumps(orders).encode())], "weights": weights.tolist()}


def _label_losses(_: Path) -> Numbers:
    """Of labels and of shares of classes, with smoothing."""
    logits, labels = _noise(4, CLASSES), torch.tensor([0, 1, 2, 0])
    shares = 0.7 * functional.one_hot(labels) + 0.3 * functional.one_hot(labels.flip(0))
    weights = class_weights("effective", [900, 90, 9])
    found: Numbers = {"effective weights": weights or []}
    for kind in LOSSES:
        for name, one in (("plain", None), ("weighted", torch.tensor(weights))):
            loss = LabelLoss(kind, one)
            found[f"{kind} {name}"] = [
                loss(logits, given, smoothing=smoothing).item()
                for given in (labels, shares)
                for smoothing in (0.0, 0.1)
            ]
    return found


def _dropped(_: Path) -> Numbers:
    """A network with drop path in training mode."""
    found = network()
    with drop_path(found, images(2), rate=0.5), torch.no_grad():
        torch.manual_seed(0)
        rates = [one.drop_prob for one in found.modules() if isinstance(one, DropPath)]
        return {"rates": rates, "logits": numbers(found.train()(images(4)))}


def _trained(_: Path) -> Numbers:
    """Two epochs with a penalty, from an order that a seed gives; and losses of some batches."""
    found = network(SMOOTH)
    given = plan(seed=3, penalty=lambda: 1e-5 * sum(w.abs().sum() for w in found.parameters()))
    sampled = [loss.item() for loss in sample_losses(found, dataset(), given, batches=2)]
    curve = list(train(found, dataset(), given))
    frozen = network()
    kept = plan(seed=3, training=replace(given.training, freeze_statistics=True))
    losses = [point.loss for point in train(frozen, dataset(), kept)]
    return {
        "sampled": sampled,
        "frozen losses": losses,
        "frozen statistics": numbers(
            torch.cat([one.flatten().double() for one in frozen.buffers() if one.ndim])
        ),
        "losses": [point.loss for point in curve],
        "rates": [point.learning_rate for point in curve],
        "logits": outputs(found),
    }


def _distilled(_: Path) -> Numbers:
    torch.manual_seed(0)
    teachers = [network(seed=1), network("test_vit", seed=2)]
    distiller = Distiller(network(), Layerwise(), teachers, images(1))
    with torch.no_grad():
        logits, maps = distiller.eval()(images(2))
    pairs = {f"pair {n}": numbers(torch.cat([*map(torch.flatten, p)])) for n, p in enumerate(maps)}
    return {"logits": numbers(logits), **pairs}


def _averaged(_: Path) -> Numbers:
    torch.manual_seed(0)
    layer = nn.Linear(6, 5)
    average = MovingAverage(layer, decay=0.9)
    for step in range(1, 5):
        with torch.no_grad():
            layer.weight += step
        average.update(step)
    average.swap()
    return {"weights": numbers(layer.weight)}


def _ensemble(_: Path) -> Numbers:
    return {"logits": numbers(ensemble_logits(_noise(3, 4, 5)))}


def _noise(*shape: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _erased(_: Path) -> Numbers:
    torch.manual_seed(0)
    return {"images": numbers(erased(images(8) + 1, probability=0.7))}


def _mixed(_: Path) -> Numbers:
    found: Numbers = {}
    for name, mixup, cutmix in (("mixup", 0.4, 0.0), ("cutmix", 0.0, 1.0), ("both", 0.4, 1.0)):
        torch.manual_seed(0)
        mixtures = [draw_mixture(images(4), mixup=mixup, cutmix=cutmix) for _ in range(4)]
        found[f"{name} shares"] = [one.share for one in mixtures if one]
        shown = [one.images(images(4)) for one in mixtures if one]
        found[f"{name} images"] = numbers(torch.stack(shown))
        first = mixtures[0]
        assert first is not None
        found[f"{name} labels"] = numbers(first.labels(torch.arange(4) % 3, 3))
        found[f"{name} logits"] = numbers(first.logits(_noise(2, 4, 3)))
    return found


def _adapted(_: Path) -> Numbers:
    pixels = {"given_size": SIZE, "scale": np.array([0.7]), "offset": np.array([0.2])}
    adapted = AdaptedTeacher(network(), image_size=40, **pixels)
    reduced = AdaptedTeacher(network(), image_size=12, **pixels)
    return {
        "logits": outputs(adapted),
        "reduced": outputs(reduced),
        "both": outputs(Ensemble([adapted, network(seed=1)])),
    }


def _finetuned(folder: Path) -> Numbers:
    said: list[str] = []
    room = teacher_context(folder, progress=said.append)
    training = TeacherTraining(epochs=3, batch_size=8, learning_rate=1e-3, patience=2)
    found: Numbers = {}
    for name, from_weights in (("logits", False), ("fine-tuned", True)):
        task = TeacherTask(
            training=training, schedule=training.schedule(from_weights=from_weights), probes=True
        )
        found[name] = outputs(trained(network(SMOOTH), task, room))
    return found


def _probed(folder: Path) -> Numbers:
    found = network(SMOOTH, classes=5)
    return {"logits": outputs(probed(found, teacher_context(folder, progress=print)))}


def _logits(folder: Path) -> Numbers:
    both = Ensemble([network(), network(seed=1)])
    teacher = Teacher("two", both, "two", "cpu")
    cache = FolderStore.of(folder)
    kept = soft_targets(teacher, dataset(), VIEWS, cache=cache, progress=lambda said: None)
    return {
        f"view {view.number}": numbers(kept.of(view, torch.arange(24)))
        for view in map(VIEWS.in_epoch, range(2))
    }


STAGES: Mapping[str, Callable[[Path], Numbers]] = {
    "search.data.images.VERSION": _images,
    "search.data.views.rendering.VERSION": _views,
    "search.data.parts.VERSION": _batches,
    "search.data.prepare.VERSION": _prepared,
    "search.training.trainer.VERSION": _trained,
    "search.training.distiller.VERSION": _distilled,
    "search.training.balancing.VERSION": _balanced,
    "search.training.drop_path.VERSION": _dropped,
    "search.training.ema.VERSION": _averaged,
    "spaces.axes.label_loss.VERSION": _label_losses,
    "search.training.ensemble.VERSION": _ensemble,
    "search.training.erasing.VERSION": _erased,
    "search.training.mixup.VERSION": _mixed,
    "search.teachers.adapters.VERSION": _adapted,
    "search.teachers.finetune.VERSION": _finetuned,
    "search.teachers.linear_probe.VERSION": _probed,
    "search.teachers.logits_cache.VERSION": _logits,
}
"""By the constant that states the stage's version; each is given an empty folder."""
