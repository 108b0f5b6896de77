"""Builds branches: other prunings and number formats of one trained student."""

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
    """A pruned and recovered network, its float32 files, and the records up to this stage."""

    made: BuiltStudent
    exported: FloatStudent
    recorder: TrialRecorder


class BranchBuilder:
    """Builder of several students from one trained student.

    A stage that two of these students share runs once.

    Args:
        builder: trains, prunes and tunes networks.
        trained: the trained student.
        before: the records up to the end of its training.
        folder: the folder for temporary files.
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
        """Prune, quantize and measure the trained student by the recipe.

        Args:
            recipe: the recipe; its training is already done.
            recorder: records the stages and epochs.
            name: the name of the folder for the finished student.

        Returns:
            A generator of the learning curve's points that returns the outcome.
        """
        pruned = self._pruned.get(recipe.pruning)
        if pruned is None:
            made = yield from self._builder.prune(self._trained, recipe, recorder)
            pruned = _Pruned(made, self._exported(made, recipe.pruning), recorder.branch())
            self._pruned[recipe.pruning] = pruned
        else:
            recorder.continue_from(pruned.recorder)
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
