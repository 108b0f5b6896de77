"""A trial: one recipe, from student to measured artifact. Plain Python without Ray."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import replace

from search.config.student_spec import StudentRequirements
from search.cost_model.dry_run import dry_run, least_cost
from search.errors import ArtifactError
from search.files.disk import disk_fault, scratch
from search.pipeline.branch_builder import BranchBuilder
from search.pipeline.failures import failed_outcome
from search.pipeline.package import over_budget
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
    foreseen: Cost | None = None,
    branches: Sequence[Recipe] = (),
    doubtful: Collection[Recipe] = (),
) -> Progress:
    """Run one recipe, an epoch at a time, to its outcome.

    Where there are branches, the outcome is yielded as soon as it is known, and again with each
    branch that has ended since. A recipe that contradicts itself, or whose cost breaks the budget,
    is INFEASIBLE and never trained. Nothing is raised: an exception becomes FAILED, with its cause.

    Args:
        recipe: the recipe to run.
        context: what the trials of the study share.
        number: the trial's number in its study.
        seed: of weights, order and dropout.
        foreseen: the known cost of its student; None measures it here.
        branches: recipes that differ from `recipe` in pruning and quantization alone. They are
            made from the student that it trained, which takes seconds.
        doubtful: the branches that may break the budget; each is first measured untrained.

    Returns:
        A generator of the learning curve's points that returns the outcome. If it is closed
        early, only the last checkpoint of its training remains.
    """
    clock = WorkClock()
    recorder = TrialRecorder(context, clock)
    try:
        if refusal := _refusal(recipe, context.requirements, foreseen):
            return recorder.attached_to(refusal)
        builder, name = StudentBuilder(context, seed), f"trial-{number:05d}"
        stages = _stages(recipe, builder, recorder, name=name, branches=branches, doubtful=doubtful)
        return (yield from clock.over(stages))
    except Exception as error:  # noqa: BLE001  the trial's boundary: recorded, and the search goes on
        return recorder.attached_to(failed_outcome(error))


def finish(trial: Progress) -> Outcome:
    """Run a trial to its end, whatever its curve."""
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
    """Run the stages in the order of compression, then the stages of the branches."""
    recorder.end_stage("admit")
    trained = yield from builder.train(recipe, recorder)
    with scratch() as folder:
        branch_builder = BranchBuilder(builder, trained, recorder.branch(), folder)
        own = yield from branch_builder.compress(recipe, recorder, name=name)
        outcome = recorder.attached_to(own)
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
    """Return the branch that `recipe` makes from the trained student."""
    recorder = branch_builder.before.branch()
    try:
        refusal = _refusal(recipe, recorder.context.requirements) if is_doubtful else None
        outcome = refusal or (yield from branch_builder.compress(recipe, recorder, name=name))
    except Exception as error:
        if fault := disk_fault(error):
            raise fault from error  # a disk fault would end all other work too
        outcome = failed_outcome(error)
    return Branch(params=recipe.to_params(), outcome=recorder.attached_to(outcome))


def _refusal(
    recipe: Recipe, requirements: StudentRequirements, foreseen: Cost | None = None
) -> Outcome | None:
    """Return INFEASIBLE, unless the recipe is sound and its student's cost within the budget."""
    if reason := recipe.conflict():
        return Outcome(state=TrialState.INFEASIBLE, reason=reason)
    try:
        cost = foreseen or least_cost(dry_run(recipe, requirements), recipe)
    except (ValueError, ArtifactError) as error:
        return Outcome(state=TrialState.INFEASIBLE, reason=str(error))
    return None if requirements.budget.admits(cost) else over_budget(cost, requirements)
