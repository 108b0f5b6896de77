from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from search.evaluation.artifact import load_network
from search.objectives.budget import Budget
from search.objectives.units import format_bytes
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import EpochRecord, Outcome, TrialState
from search.tuner.branching import Group, branches_of
from spaces import registry
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from spaces.training.standard import Standard
from tests.messages import naming

pytestmark = pytest.mark.slow

NewRecipe = Callable[..., Recipe]


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace.from_config(
        {
            "student": {"timm": {"model": "test_resnet"}},
            "distillation": ["labels", "soft_targets"],
            "pruning": {"none": None, "magnitude": {"ratio": {"low": 0.2, "high": 0.6}}},
            "quantization": ["float32", "int8_static"],
        }
    )


def test_branches_share_all_but_pruning_and_quantization(
    recipe: NewRecipe, space: SearchSpace
) -> None:
    own = recipe(training=Standard(epochs=3))
    for branch in branches_of(own, space, prunings=2):
        assert (branch.student, branch.training, branch.distillation) == (
            own.student,
            own.training,
            own.distillation,
        )


def test_every_pruning_meets_every_quantization_once(recipe: NewRecipe, space: SearchSpace) -> None:
    own = recipe(pruning=Magnitude(ratio=0.25), quantization=Int8Static())
    found = branches_of(own, space, prunings=2)
    made = [
        (getattr(branch.pruning, "ratio", None), branch.quantization.name)
        for branch in (own, *found)
    ]
    assert sorted(made, key=str) == sorted(
        [
            (ratio, name)
            # Its own stands for the second of six places; those that are left are spread.
            for ratio in (0.25, None, pytest.approx(0.2), pytest.approx(0.6))
            for name in ("float32", "int8_static")
        ],
        key=str,
    )


def test_the_quantizations_of_its_own_pruning_come_first(
    recipe: NewRecipe, space: SearchSpace
) -> None:
    own = recipe(pruning=Magnitude(ratio=0.25))
    assert branches_of(own, space, prunings=2)[0] == replace(own, quantization=Int8Static())


def test_of_many_prunings_each_student_is_given_some_and_all_come_in_turn(
    recipe: NewRecipe,
) -> None:
    names = sorted(registry.methods("pruning"))
    space = SearchSpace.from_config(
        {"student": {"timm": {"model": "test_resnet"}}, "pruning": names}
    )
    found = [
        [branch.pruning.name for branch in branches_of(recipe(training=one), space, prunings=1)]
        for one in (Standard(epochs=epochs) for epochs in range(8, 38))
    ]
    # Its own, none, may be among the four.
    assert {len(branches) for branches in found} <= {3, 4}
    assert {name for branches in found for name in branches} == set(names) - {"none"}


def test_what_promises_the_most_is_chosen_among_finer_settings(
    recipe: NewRecipe, space: SearchSpace
) -> None:
    own = recipe(quantization=Int8Static())
    asked: list[int] = []

    def promising(trial: Recipe, groups: Sequence[Group], count: int) -> list[Recipe]:
        assert trial == own
        asked.extend((len(groups), count))
        return [groups[-1][1], groups[1][0]]

    found = branches_of(own, space, prunings=2, promising=promising)
    assert asked == [6, 2]
    assert found == [
        replace(own, quantization=Float32()),
        replace(own, pruning=found[1].pruning, quantization=Float32()),
        replace(own, pruning=found[2].pruning),
    ]
    ratios = [getattr(one.pruning, "ratio", 0.0) for one in found[1:]]
    assert ratios == pytest.approx([0.6, 0.2 + 0.4 / 5])


def test_the_same_recipe_has_the_same_branches(recipe: NewRecipe) -> None:
    space = SearchSpace.from_config(
        {
            "student": {"timm": {"model": "test_resnet"}},
            "pruning": sorted(registry.methods("pruning")),
        }
    )
    assert branches_of(recipe(), space, prunings=2) == branches_of(recipe(), space, prunings=2)


def test_a_space_without_choice_has_no_branches(recipe: NewRecipe) -> None:
    closed = SearchSpace.from_config({"student": {"timm": {"model": "test_resnet"}}})
    assert branches_of(recipe(), closed, prunings=3) == []


def test_a_branch_is_what_a_trial_of_its_own_would_have_been(
    context: StudyContext, recipe: NewRecipe
) -> None:
    own = recipe(training=Standard(epochs=2, batch_size=16, warmup_epochs=0))
    other = replace(own, pruning=Magnitude(ratio=0.4, recovery=0.5), quantization=Int8Static())
    (branch,) = finish(run_trial(own, context, number=0, seed=3, branches=[other])).branches
    alone = finish(run_trial(other, context, number=1, seed=3))
    assert branch.params == other.to_params()
    assert branch.outcome.quality == alone.quality
    assert branch.outcome.cost is not None
    assert alone.cost is not None
    assert branch.outcome.cost["parameters"] == alone.cost["parameters"]
    assert branch.outcome.epochs == alone.epochs


def test_branches_have_artifacts_of_their_own(context: StudyContext, recipe: NewRecipe) -> None:
    own = recipe()
    others = [replace(own, quantization=Int8Static()), replace(own, pruning=Magnitude(ratio=0.5))]
    outcome = finish(run_trial(own, context, number=4, seed=0, branches=others))
    paths = [
        o.artifact.path for o in (outcome, *(b.outcome for b in outcome.branches)) if o.artifact
    ]
    assert paths == ["trial-00004", "trial-00004-0", "trial-00004-1"]
    counts = [
        sum(p.numel() for p in load_network(context.artifacts.folder / p_).parameters())
        for p_ in paths
    ]
    assert counts[0] == counts[1] > counts[2]


def test_the_students_of_two_formats_recover_once(context: StudyContext, recipe: NewRecipe) -> None:
    own = recipe(training=Standard(epochs=2, batch_size=16, warmup_epochs=0))
    pruned = replace(own, pruning=Magnitude(ratio=0.4, recovery=0.5))
    others = [pruned, replace(pruned, quantization=Int8Static())]
    progress = run_trial(own, context, number=0, seed=0, branches=others)
    points = [news.stage for news in progress if isinstance(news, EpochRecord)]
    assert points == ["distil", "distil", "recover"]


def test_the_outcome_is_told_before_the_branches_and_with_each(
    context: StudyContext, recipe: NewRecipe
) -> None:
    own = recipe()
    others = [replace(own, quantization=Int8Static()), replace(own, pruning=Magnitude(ratio=0.5))]
    trial = run_trial(own, context, number=0, seed=0, branches=others)
    told, last = [], None
    while last is None:
        try:
            told.append(next(trial))
        except StopIteration as end:
            last = end.value
    outcomes = [news for news in told if isinstance(news, Outcome)]
    assert [len(outcome.branches) for outcome in (*outcomes, last)] == [0, 1, 2]
    assert {outcome.artifact for outcome in (*outcomes, last)} == {last.artifact}
    assert last.duration_s == outcomes[0].duration_s


def test_a_doubtful_branch_that_breaks_the_budget_is_not_made(
    context: StudyContext, recipe: NewRecipe
) -> None:
    own = recipe(pruning=Magnitude(ratio=0.6, recovery=0.5), quantization=Int8Static())
    size = finish(run_trial(own, context, number=0, seed=0)).cost
    assert size is not None
    small = replace(
        context,
        requirements=replace(context.requirements, budget=Budget(size=size["size_bytes"] + 2000)),
    )
    larger = replace(own, pruning=NoPruning())
    trial = run_trial(
        own, small, number=1, seed=0, predicted_cost=size, branches=[larger], doubtful={larger}
    )
    (branch,) = finish(trial).branches
    assert branch.outcome.state is TrialState.INFEASIBLE
    assert branch.outcome.artifact is None
    limit = format_bytes(size["size_bytes"] + 2000)
    assert naming("size", limit).search(branch.outcome.reason or "")


def test_settings_that_may_fit_are_spread_where_they_lie(
    recipe: NewRecipe, space: SearchSpace
) -> None:
    own = recipe(pruning=Magnitude(ratio=0.6))
    found = branches_of(
        own, space, prunings=2, may_fit=lambda branch: getattr(branch.pruning, "ratio", 0) > 0.4
    )
    ratios = {getattr(branch.pruning, "ratio", 0.0) for branch in found} - {0.6}
    assert sorted(ratios) == pytest.approx([0.44, 0.52])


def test_a_branch_that_fails_leaves_the_others(context: StudyContext, recipe: NewRecipe) -> None:
    own = recipe()
    # The second folder is a file already, so that its artifact can't be written.
    context.artifacts.folder.mkdir()
    (context.artifacts.folder / "trial-00000-0").write_text("in the way")
    others = [replace(own, quantization=Int8Static()), replace(own, pruning=Magnitude(ratio=0.5))]
    outcome = finish(run_trial(own, context, number=0, seed=0, branches=others))
    states = [branch.outcome.state for branch in outcome.branches]
    assert outcome.state is TrialState.COMPLETE
    assert states == [TrialState.FAILED, TrialState.COMPLETE]
