"""One trial, from building the student to measuring its artifact. Plain Python without Ray."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import replace

from search.config.student_spec import StudentRequirements
from search.cost_model.dry_run import dry_run, least_cost
from search.errors import ArtifactError
from search.files.disk import disk_fault, scratch
from search.pipeline.branch_builder import BranchBuilder
from search.pipeline.failures import failed_outcome
from search.pipeline.package import over_budget
from search.pipeline.refit import without_validation
from search.pipeline.student_builder import StudentBuilder
from search.pipeline.study_context import StudyContext
from search.pipeline.trial_recorder import TrialRecorder, WorkClock
from search.records import Branch, Cost, EpochRecord, Outcome, TrialState
from spaces.recipe import Recipe

Progress = Generator[EpochRecord | Outcome, None, Outcome]


def run_trial(
    recipe: Recipe,
    context: StudyContext,
    *,
    number: int,
    seed: int,
    predicted_cost: Cost | None = None,
    branches: Sequence[Recipe] = (),
    doubtful: Collection[Recipe] = (),
) -> Progress:
    """Run one recipe, an epoch at a time, to its outcome.

    With branches, the trial yields its own outcome as soon as that is known, and then the outcome
    with one more branch after each branch. A recipe that contradicts itself, or whose cost breaks
    the budget, is INFEASIBLE and never trained. Nothing is raised: an exception becomes an outcome
    FAILED that records the exception.

    Args:
        recipe: the recipe to run.
        context: the context that the study's trials share.
        number: the trial's number in its study.
        seed: the seed of initial weights, of the order of images, and of dropout.
        predicted_cost: the cost of its student; None measures an untrained student first.
        branches: recipes that differ from `recipe` in pruning and quantization alone. They are
            made from the student that `recipe` trained.
        doubtful: the branches that may break the budget; an untrained student of each is measured
            first.

    Returns:
        A generator of the learning curve's points that returns the outcome. If the caller closes
        it early, only the last checkpoint of its training remains.
    """
    clock = WorkClock()
    recorder = TrialRecorder(context, clock)
    try:
        if refusal := _refusal(recipe, context.requirements, predicted_cost):
            return recorder.attach_to(refusal)
        builder, name = StudentBuilder(context, seed), f"trial-{number:05d}"
        stages = _stages(recipe, builder, recorder, name=name, branches=branches, doubtful=doubtful)
        outcome = yield from clock.timed(stages)
    except Exception as error:  # noqa: BLE001  the trial's boundary: the search continues
        outcome = recorder.attach_to(failed_outcome(error))
    finally:
        context.dataset.end_decoding()
    return without_validation(outcome) if context.is_refit else outcome


def finish(trial: Progress) -> Outcome:
    """Run a trial to its end and return its outcome."""
    while True:
        try:
            next(trial)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def _stages(
    recipe: Recipe,
    builder: StudentBuilder,
    recorder: TrialRecorder,
    *,
    name: str,
    branches: Sequence[Recipe],
    doubtful: Collection[Recipe],
) -> Progress:
    """Run the trial's own stages, then the stages of its branches."""
    recorder.end_stage("admit")
    trained = yield from builder.train(recipe, recorder)
    with scratch() as folder:
        branch_builder = BranchBuilder(builder, trained, recorder.branch(), folder)
        own = yield from branch_builder.compress(recipe, recorder, name=name)
        outcome = recorder.attach_to(own)
        for place, other in enumerate(branches):
            yield outcome
            branch = yield from _branch(
                other, branch_builder, name=f"{name}-{place}", is_doubtful=other in doubtful
            )
            outcome = replace(outcome, branches=(*outcome.branches, branch))
    return outcome


def _branch(
    recipe: Recipe, branch_builder: BranchBuilder, *, name: str, is_doubtful: bool
) -> Generator[EpochRecord, None, Branch]:
    """Make the branch of `recipe` from the trained student."""
    recorder = branch_builder.before.branch()
    try:
        refusal = _refusal(recipe, recorder.context.requirements) if is_doubtful else None
        outcome = refusal or (yield from branch_builder.compress(recipe, recorder, name=name))
    except Exception as error:
        if fault := disk_fault(error):
            raise fault from error  # a disk fault would end every further branch too
        outcome = failed_outcome(error)
    return Branch(params=recipe.to_params(), outcome=recorder.attach_to(outcome))


def _refusal(
    recipe: Recipe, requirements: StudentRequirements, predicted_cost: Cost | None = None
) -> Outcome | None:
    """Return an outcome INFEASIBLE; None if the recipe is valid and within the budget."""
    if reason := recipe.conflict() or requirements.conflict(recipe.student):
        return Outcome(state=TrialState.INFEASIBLE, reason=reason)
    try:
        cost = predicted_cost or least_cost(dry_run(recipe, requirements), recipe)
    except (ValueError, ArtifactError) as error:
        return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
    return None if requirements.budget.admits(cost) else over_budget(cost, requirements)
