"""The choice of a study's finalists: its best recipes, each to be trained to the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search.analysis.finals import of_kind
from search.analysis.pareto import cost_of
from search.analysis.ranking import Ranking
from search.config.final_settings import EPOCHS_FACTOR
from search.config.study import Study
from search.progress import FinalPlace
from search.records import Cost, Purpose, TrialKind, TrialRecord, TrialState
from search.tuner.learners import recipe_of
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.axes.training import most_epochs
from spaces.recipe import Recipe

_AFTER_TRAINING = (Pruning.axis, Quantization.axis)
UNFINISHED = (TrialState.RUNNING, TrialState.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """A trial that trains a recipe of the search to the end, or refits the chosen one.

    Attributes:
        recipe: the recipe, with its final number of epochs.
        seed: the seed of initial weights, of the order of images, and of dropout.
        cost: the measured cost of the student of the shorter training.
        purpose: the kind of the trial, and the trial whose recipe it trains.
        place: its place among all, for people.
        number: its number, if an earlier run began it; else None.
    """

    recipe: Recipe
    seed: int
    cost: Cost
    purpose: Purpose
    place: FinalPlace
    number: int | None = None


def choose_finalists(study: Study, trials: Sequence[TrialRecord]) -> tuple[Finalist, ...]:
    """Return the finalists of a study, the best recipe first, each with all its seeds.

    They are the best trials of the search within the budget by the study's goal, the metric first.
    Then follow those that break only floors of the budget, the nearest to the floors first: their
    longer training may meet them. Of the trials whose training is the same, such as the branches of
    a student, only the best is a finalist. There are fewer than `final.students` if fewer trials
    fit.

    Args:
        study: the study; without a section `final` it has no finalists.
        trials: all trials of the study.

    Raises:
        StoreError: this version does not know a trial's recipe.
    """
    if study.final is None:
        return ()
    chosen = list(_chosen(study, trials))
    found = [
        Finalist(
            recipe=recipe,
            seed=study.seed + seed,
            cost=cost_of(source),
            purpose=Purpose(TrialKind.FINAL, repeats=source.number),
            place=FinalPlace(place + 1, len(chosen), seed=seed + 1, seeds=study.final.seeds),
        )
        for place, (source, recipe) in enumerate(chosen)
        for seed in range(study.final.seeds)
    ]
    return tuple(found)


def left_to_train(
    finalists: Sequence[Finalist], trials: Sequence[TrialRecord]
) -> tuple[Finalist, ...]:
    """Return the finalists that no earlier run finished; with their number if one began them.

    A finalist that failed is not trained again.
    """
    left = []
    for finalist in finalists:
        made = _made(finalist, trials)
        if made is None:
            left.append(finalist)
        elif made.state in UNFINISHED:
            left.append(replace(finalist, recipe=recipe_of(made), number=made.number))
    return tuple(left)


def refit_finalist(student: TrialRecord) -> Finalist:
    """Return the refit of a finalist: its recipe and seed once more, with the validation images."""
    return Finalist(
        recipe=recipe_of(student),
        seed=student.seed,
        cost=cost_of(student),
        purpose=Purpose(TrialKind.REFIT, repeats=student.number),
        place=FinalPlace(1, 1, refits=student.number),
    )


def to_the_end(recipe: Recipe, epochs: int | None) -> Recipe:
    """Return the recipe with its final number of epochs.

    Args:
        recipe: a recipe of the search.
        epochs: the number of epochs; None multiplies the recipe's own by five. The result has at
            most the epochs that its training method allows. A method without the parameter
            `epochs` keeps its own number.
    """
    training = recipe.training
    if "epochs" not in type(training).distributions():
        return recipe
    wanted = epochs or EPOCHS_FACTOR * training.epochs
    wanted = min(wanted, most_epochs(type(training)) or wanted)
    return replace(recipe, training=replace(training, epochs=wanted))


def _chosen(study: Study, trials: Sequence[TrialRecord]) -> Iterator[tuple[TrialRecord, Recipe]]:
    """Yield the best trials whose trainings differ, each with its recipe trained to the end."""
    assert study.final is not None
    searched = of_kind(trials, TrialKind.SEARCH)
    trainings: set[frozenset[tuple[str, object]]] = set()
    ranking = Ranking(searched, study.goal)
    for source in (*ranking.ranked(study.budget), *ranking.nearest(study.budget)):
        if len(trainings) == study.final.students:
            return
        recipe = to_the_end(recipe_of(source), study.final.epochs)
        training = _training_of(recipe)
        if training not in trainings:
            trainings.add(training)
            yield source, recipe


def _training_of(recipe: Recipe) -> frozenset[tuple[str, object]]:
    """Return the part of a recipe that decides the training before its pruning."""
    return frozenset(
        (key, value)
        for key, value in recipe.to_params().items()
        if key.partition(".")[0] not in _AFTER_TRAINING
    )


def _made(finalist: Finalist, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the trial of an earlier run that is this finalist; None if there is none.

    Its batch size may be smaller, if the memory was too small for the recipe's.
    """
    for trial in of_kind(trials, finalist.purpose.kind):
        has_its_seed = trial.seed == finalist.seed
        if has_its_seed and trial.params == finalist.recipe.to_params():
            return trial
        epochs = recipe_of(trial).training.epochs
        is_its_repetition = Purpose(trial.kind, trial.repeats) == finalist.purpose
        if has_its_seed and is_its_repetition and epochs == finalist.recipe.training.epochs:
            return trial
    return None
