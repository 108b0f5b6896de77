"""Other prunings and other number formats, made from one trained student."""

import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from search.pipeline.package import ship
from search.pipeline.student_builder import BuiltStudent, StudentBuilder
from search.pipeline.trial_recorder import TrialRecorder
from search.records import EpochRecord, Outcome
from search.targets.float_student import FloatStudent
from spaces.axes.pruning import Pruning
from spaces.pruning.none import NoPruning
from spaces.recipe import Recipe


@dataclass(frozen=True)
class _Pruned:
    """A pruned and recovered network, its float files, and the notes up to this stage."""

    made: BuiltStudent
    exported: FloatStudent
    recorder: TrialRecorder


class BranchBuilder:
    """Builder of other students from one trained student; stages that two of them share run once.

    Args:
        builder: makes networks.
        trained: the student.
        before: the notes up to the end of its training.
        folder: for temporary files.
    """

    def __init__(
        self,
        builder: StudentBuilder,
        trained: BuiltStudent,
        before: TrialRecorder,
        folder: Path,
    ) -> None:
        self.before = before
        self._builder = builder
        self._trained = trained
        self._folder = folder
        self._unpruned = self._exported(trained, NoPruning())
        self._pruned: dict[Pruning, _Pruned] = {}

    def compress(
        self, recipe: Recipe, recorder: TrialRecorder, *, name: str
    ) -> Generator[EpochRecord, None, Outcome]:
        """Prune, quantize and measure the student as the recipe says.

        Args:
            recipe: the recipe; its training is already done.
            recorder: records the stages and epochs.
            name: name of the folder in which the student is kept.

        Returns:
            A generator of the learning curve's points that returns the outcome.
        """
        pruned = self._pruned.get(recipe.pruning)
        if pruned is None:
            made = yield from self._builder.prune(self._trained, recipe, recorder)
            pruned = _Pruned(made, self._exported(made, recipe.pruning), recorder.branch())
            self._pruned[recipe.pruning] = pruned
        else:
            recorder.go_on_from(pruned.recorder)
        made, exported = pruned.made, pruned.exported
        tuned = yield from self._builder.tune(made, recipe, recorder)
        if tuned is not made:
            made, exported = tuned, self._exported(tuned, recipe.pruning)
        return ship(
            exported,
            made.cuts,
            recipe,
            self._builder.context,
            recorder,
            unpruned=self._unpruned,
            name=name,
            seed=self._builder.seed,
        )

    def _exported(self, made: BuiltStudent, pruning: Pruning) -> FloatStudent:
        shape = self._builder.context.requirements.image_shape
        return FloatStudent(made.network, self._folder / uuid.uuid4().hex, shape, pruning=pruning)
