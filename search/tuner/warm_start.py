"""Warm start: the sampler learns from the trials of other studies in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from search.analysis.finals import of_kind
from search.config.loader import dump_study, study_from_dict
from search.config.study import Study
from search.errors import BadInput
from search.objectives.budget import Budget
from search.objectives.goal import stored_goal
from search.pipeline.study_context import StudyContextSpec
from search.records import Outcome, StudyRecord, TeacherRecord, TrialKind, TrialRecord, TrialState
from search.samplers.optuna_adapter import Sampler
from search.storage.storage import Store
from search.targets.timing import processor_of
from search.tuner.learners import recipe_of

# Settings that two studies must share, besides data and teacher by their hashes.
_SHARED = (
    *("seed", "data.image_size", "data.train_images", "data.augment", "search.views"),
    "budget.target",
)


def check_comparable(
    study: Study, spec: StudyContextSpec, teacher: TeacherRecord, store: Store
) -> None:
    """Check that the trials of `search.warm_start` can be compared with this study's.

    Raises:
        BadInput: a study can't be compared; the message has a line with the reason for each.
        StoreError: the store does not contain such a study.
    """
    refused = []
    for name in study.search.warm_start:
        record = store.study(name)
        reason = _why_different(study, spec, teacher, record) or _why_not_comparable(
            study, store.trials(name)
        )
        if reason:
            refused.append(f"search.warm_start can't use {name}: {reason}. Leave {name} out")
    if refused:
        raise BadInput("\n".join(refused))


def warm_start_sampler(study: Study, sampler: Sampler, store: Store) -> int:
    """Report the finished trials of `search.warm_start` to the sampler; return their number.

    Finalists are left out: their longer training would make other recipes look worse.

    Their costs are compared with this study's budget. Recipes outside of the space are left out,
    and so are learning curves of another metric. The sampler may propose the same recipes again,
    because their students belong to the other study. Such a trial does not train again: the stage
    cache holds the student by recipe, data, teacher, metric and seed, not by study.
    """
    reported, space = 0, study.search_space()
    for name in study.search.warm_start:
        metric = stored_goal(store.study(name).config).metric
        for trial in of_kind(store.trials(name, whole=True), TrialKind.SEARCH):
            outcome = trial.outcome and judged(trial.outcome, study.budget)
            if outcome and metric.name != study.search.objective:
                outcome = replace(outcome, epochs=())
            if outcome and space.contains(trial.params):
                branch = trial.parent is not None
                sampler.tell(recipe_of(trial), outcome, branch=branch, elsewhere=True)
                reported += 1
    return reported


def judged(outcome: Outcome, budget: Budget) -> Outcome | None:
    """Return the outcome under another budget; None if it is not informative there."""
    if outcome.state in (TrialState.FAILED, TrialState.INTERRUPTED):
        return None
    if outcome.cost is None:
        return outcome  # the recipe contradicts itself or can't be built, whatever the budget
    if outcome.state is TrialState.INFEASIBLE and budget.admits(outcome.cost):
        return None
    return replace(outcome, violations=budget.violations(outcome.cost, outcome.quality))


def _why_different(
    study: Study, spec: StudyContextSpec, teacher: TeacherRecord, record: StudyRecord
) -> str | None:
    if record.name == study.study:
        return "it is this study itself, whose trials the sampler knows anyway"
    if record.data_digest != spec.data_digest:
        return "it has other data"
    # With the defaults of keys that the stored study lacks.
    mine, other = dump_study(study), dump_study(study_from_dict(record.config))
    for place in _SHARED:
        theirs, ours = _at(other, place), _at(mine, place)
        if theirs != ours:
            return _first_difference(place, theirs, ours)
    if record.teacher is None or record.teacher.digest != teacher.digest:
        return "it has another teacher"
    return None


def _why_not_comparable(study: Study, trials: Sequence[TrialRecord]) -> str | None:
    """Return why the trials' latencies can't be compared with this study's; None if they can."""
    target = study.budget.target
    here = processor_of(target) if study.run.ray == "local" or target.is_elsewhere else None
    for trial in trials:
        there = trial.outcome.hardware.get("processor") if trial.outcome else None
        if here and there and there != here:
            return f"its latencies were measured on {there}, but this study's target is {here}"
    return None


def _first_difference(place: str, theirs: object, ours: object) -> str:
    """Describe the first key, at or below `place`, whose values differ."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in dict.fromkeys([*theirs, *ours]):
            if theirs.get(key) != ours.get(key):
                return _first_difference(f"{place}.{key}", theirs.get(key), ours.get(key))
    return f"its {place} is {theirs}, but this study's is {ours}"


def _at(values: Mapping[str, object], place: str) -> object:
    found: object = values
    for key in place.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
