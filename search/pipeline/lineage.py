"""The cache key of a stage: a hash of everything that the stage depends on."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from search.config import student_spec
from search.data.views.view import Views
from search.objectives.metrics import metric_of
from search.pipeline import pruning_steps, student_builder
from search.teachers.logits_cache import teaching_stages
from search.versions import (
    PRUNING_LIBRARIES,
    TRAINING_LIBRARIES,
    StageVersions,
    Versions,
    training_stages,
)
from spaces import counting
from spaces.axes.distillation import Needs
from spaces.axes.student import Student
from spaces.pruning.structured import channels
from spaces.quantization.ptq.int8 import largest_int8_weight
from spaces.recipe import Recipe
from spaces.students import normalization

_TRAINED = ("student", "training", "distillation")
_PRUNED = (*_TRAINED, "pruning")
_TUNED = (*_PRUNED, "quantization")


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """The inputs of every stage of a study, besides the recipe and the seed.

    A key hashes these inputs, the recipe up to the stage, the seed, and the versions of all code
    that computes: the recipe's methods up to the stage, the stages and the libraries.

    Attributes:
        data: digest of the prepared images.
        views: the augmented views of the images that students see.
        teacher: digest of the teacher.
        device: the device on which students are trained.
        weights: the digest of each pair of given weights and timm model.
        metric: the name of the metric that scores the stage. The score decides whether a further
            part of a recovery training is kept.
    """

    data: str
    views: Views
    teacher: str
    device: str
    metric: str
    weights: tuple[tuple[str, str, str], ...] = ()

    def training_key(self, recipe: Recipe, seed: int) -> str:
        """Return the key of the recipe's student after its training."""
        return self._key(recipe, seed, _TRAINED)

    def pruning_key(self, recipe: Recipe, seed: int) -> str:
        """Return the key of the recipe's student after its pruning and recovery."""
        return self._key(recipe, seed, _PRUNED)

    def tuning_key(self, recipe: Recipe, seed: int) -> str:
        """Return the key of the recipe's student after its quantization-aware training."""
        # The largest int8 weight depends on this machine's processor, and changes the rounding.
        return self._key(recipe, seed, _TUNED, largest_int8=largest_int8_weight())

    def keys(self, recipe: Recipe, seed: int) -> frozenset[str]:
        """Return the keys of all stages of the recipe's student."""
        found = {self.training_key(recipe, seed), self.pruning_key(recipe, seed)}
        if recipe.quantization.tuning_share:
            found.add(self.tuning_key(recipe, seed))
        return frozenset(found)

    def _key(self, recipe: Recipe, seed: int, axes: tuple[str, ...], **more: int) -> str:
        inputs = asdict(self) | {"views": self._views_key(recipe, axes)} | more
        if recipe.distillation.needs is Needs.NOTHING and not metric_of(self.metric).uses_teacher:
            del inputs["teacher"]
        params = {
            key: value for key, value in recipe.to_params().items() if key.partition(".")[0] in axes
        }
        del inputs["weights"]
        if recipe.student.given_weights is not None:
            # Their digest, not their path: the file may move, or change.
            inputs["weights"] = self._weights_digest(recipe.student)
            params = {
                key: value for key, value in params.items() if value != recipe.student.given_weights
            }
        versions = Versions(
            libraries=TRAINING_LIBRARIES if axes == _TRAINED else PRUNING_LIBRARIES,
            methods={axis: one for axis, one in recipe.versions().items() if axis in axes},
            stages=_stages(recipe, axes, self.metric),
        )
        return versions.key(inputs, params, seed)[:32]

    def _views_key(self, recipe: Recipe, axes: tuple[str, ...]) -> Mapping[str, object]:
        """Return the key of the views that the recipe's student sees up to the last of `axes`."""
        if recipe.distillation.needs is not Needs.LOGITS:
            return self.views.key()
        if self.views.count is None:
            return {**self.views.key(), "live": True}
        shares = [1.0]
        if "pruning" in axes:
            shares.append(recipe.pruning.training_share)
        if "quantization" in axes:
            shares.append(recipe.quantization.tuning_share)
        return self.views.key(math.ceil(recipe.training.epochs * max(shares)))

    def _weights_digest(self, student: Student) -> str | None:
        pairs = {(weights, model): digest for weights, model, digest in self.weights}
        return pairs.get((str(student.given_weights), str(student.timm_model)))


def _stages(recipe: Recipe, axes: tuple[str, ...], metric: str) -> StageVersions:
    """Return the versions of the stages of the recipe's student, up to the last of `axes`."""
    stages = training_stages(recipe.training) | teaching_stages(recipe.distillation.needs)
    stages |= {
        "build": student_spec.VERSION,
        "plan": student_builder.TRAINING_VERSION,
        "count": counting.VERSION,
        "score": metric_of(metric).version,
    }
    if recipe.student.normalization is not None:
        stages["fold"] = normalization.VERSION
    if "pruning" in axes:
        stages |= {"prune": pruning_steps.VERSION, "cut": channels.VERSION}
    if "quantization" in axes:
        stages["tune"] = student_builder.TUNING_VERSION
    return stages
