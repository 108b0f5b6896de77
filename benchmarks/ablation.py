r"""What each part of the training brings: augmentation, views, pixels, epochs, the distillation.

    python -m benchmarks.ablation DATA --out ablation.csv --cache FOLDER \
        --images 4000 --epochs 30 --teacher-images 20000 --seeds 3 [--only augmentation]

DATA is the folder of Fashion-MNIST's four files. In each group, one thing differs from the base: a
test_resnet, trained by soft targets of a teacher, with the level `standard` and a new view in each
epoch. The teacher is trained once, so it is the same in all arms, except for the group `teachers`:
these learn from the students' images alone. Where the teacher's pixels differ, students have images
of 20×20 pixels, and the teacher those of 28×28.

The validation images are the same, however many images the teacher learns from. Accuracy is that of
the exported float32 file on them; the test images stay closed. Lines are appended to the CSV as
they arrive; an arm with a seed that it holds is not trained again.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arms import Arm, parser, run, study_of
from benchmarks.distillation_arms import distillation_arms
from search.data.prepare import prepare
from search.data.views.augmentation import LEVELS
from search.evaluation.artifact import write_weights
from search.files.filestore import FolderStore
from search.pipeline.teacher_outputs import teacher_context
from search.progress import SilentCallback
from search.records import Scalar
from search.teachers.adapters import AdaptedTeacher
from search.teachers.teacher import prepare_teacher

_BASE_LEVEL = "standard"
_FEW_VIEWS = (1, 4)
_TEACHER, _ASSISTANT = "test_resnet", "test_byobnet"
_SIDE, _SMALL_SIDE = 28, 20
_PIXELS = {"those of the student, enlarged": "2GB", "crops of the original": "1B"}
# The epochs of a trial of a search, and of a finalist, as shares of the base's.
_SHORT, _LONG = 1 / 4, 2.0


@dataclass(frozen=True)
class Setting:
    """Arms that share a study.

    Attributes:
        arms: the arms.
        keys: the settings of the study, in which the groups of arms may differ.
        teacher: the settings of its teacher; None for the one that is trained once.
    """

    arms: tuple[Arm, ...]
    keys: tuple[str, ...] = ()
    teacher: str | None = None


def settings(options: argparse.Namespace) -> Iterator[Setting]:
    """Yield the arms of each study."""
    for level in LEVELS:
        arms = tuple(
            _arm("augmentation", f"{level}, {method}", distillation=method)
            for method in ("labels", "soft_targets")
        )
        yield Setting(arms, (f"data.augment={level}",))
    yield Setting((*distillation_arms(options.epochs),))
    yield from _lengths_and_views(options.epochs)
    yield Setting((_arm("mixed images", "the mixture of two answers", **_MIXING),))
    answered = _arm("mixed images", "the answer for the mixture", **_MIXING)
    yield Setting((answered,), ("search.views=live",))
    for name, in_memory in _PIXELS.items():
        keys = (f"data.image_size={_SMALL_SIDE}", f"data.in_memory={in_memory}")
        yield Setting((_arm("the teacher's pixels", name),), keys)
    for name, teacher in _teachers(options).items():
        yield Setting((_arm("teachers", name),), teacher=teacher)


def _lengths_and_views(epochs: int) -> Iterator[Setting]:
    """Yield trainings of other lengths, and the longest ones with other views."""
    lengths = [max(1, round(share * epochs)) for share in (_SHORT, 1.0, _LONG)]
    longest = {"training.standard.epochs": lengths[-1]}
    key = f"space.training.standard.epochs={lengths[-1]}"  # as many views are prepared
    arms = (
        _arm("epochs", f"{length} epochs", **{"training.standard.epochs": length})
        for length in lengths
    )
    yield Setting((*arms, _arm("views", f"{lengths[-1]} views", **longest)), (key,))
    for count in _FEW_VIEWS:
        yield Setting((_arm("views", f"{count} views", **longest),), (key, f"search.views={count}"))
    live = _arm("views", "a teacher that runs in each step", **longest)
    yield Setting((live,), (key, "search.views=live"))


def _teachers(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings of teachers that learn from the students' images."""
    train = f"epochs: {options.teacher_epochs}, patience: {options.teacher_epochs}"
    teacher = f"model: {options.teacher}, stem: {options.teacher_stem}"
    one = f"{teacher}, train: {{{train}}}"
    assistant = f"{{model: {_ASSISTANT}, stem: small, train: {{{train}}}}}"
    return {
        "one teacher": f"{{{one}}}",
        "three teachers": f"{{{one}, copies: 3}}",
        "the third generation": f"{{{teacher}, train: {{{train}, generations: 3}}}}",
        f"{_ASSISTANT} as an assistant": f"{{{one}, assistant: {assistant}}}",
    }


_MIXING: dict[str, Scalar] = {"training.standard.mixup": 0.2, "training.standard.cutmix": 1.0}


def _arm(group: str, name: str, **params: Scalar) -> Arm:
    return Arm(group, name, {"distillation": "soft_targets", **params})


def main() -> None:
    own = parser(__doc__)
    own.set_defaults(student="test_resnet")
    own.add_argument("--stem", choices=("original", "half", "small"), default="original")
    own.add_argument("--teacher", default=_TEACHER)
    own.add_argument("--teacher-stem", choices=("original", "half", "small"), default="half")
    own.add_argument("--teacher-epochs", type=int, default=30)
    own.add_argument(
        "--teacher-images", type=int, help="images that the teacher learns from; default: --images"
    )
    options = own.parse_args()
    teacher = _trained_once(options)
    for setting in settings(options):
        keys = (*_keys(options), f"teacher={setting.teacher or teacher}", *setting.keys)
        run(setting.arms, options, base_of(options), study_keys=keys)


def _trained_once(options: argparse.Namespace) -> str:
    """Train the teacher, unless the cache has it; return the settings by which studies load it."""
    file: Path = options.cache / "ablation_teacher.safetensors"
    if not file.exists():
        training = f"{{epochs: {options.teacher_epochs}, patience: {options.teacher_epochs}}}"
        teacher = f"{{model: {options.teacher}, stem: {options.teacher_stem}, train: {training}}}"
        images = f"data.train_images={options.teacher_images or options.images}"
        study = study_of(options, (*_keys(options), images, f"teacher={teacher}"))
        callback, cache = SilentCallback(), FolderStore.of(study.run.cache)
        dataset = prepare(study.data, seed=study.seed, cache=cache)
        context = teacher_context(
            study, dataset, "cpu", callback, allow_code=False, step=callback.on_step
        )
        (network,) = prepare_teacher(study.stated_teachers, context).members
        write_weights(file, network.network if isinstance(network, AdaptedTeacher) else network)
    size = f"checkpoint: {file.absolute()}, image_size: {_SIDE}"
    return f"{{model: {options.teacher}, stem: {options.teacher_stem}, {size}}}"


def _keys(options: argparse.Namespace) -> tuple[str, ...]:
    return (
        f"space.training.standard.epochs={options.epochs}",  # as many views are prepared
        f"data.image_size={_SIDE}",
        f"data.augment={_BASE_LEVEL}",
        "search.views=auto",
        "search.teacher_share=10",
    )


def base_of(options: argparse.Namespace) -> dict[str, Scalar]:
    """Return the recipe that each arm changes, as flat parameters."""
    return {
        "student": "timm", "student.timm.model": options.student,
        "student.timm.stem": options.stem,
        "training": "standard", "training.standard.epochs": options.epochs,
        "pruning": "none", "quantization": "float32",
    }  # fmt: skip


if __name__ == "__main__":
    main()
