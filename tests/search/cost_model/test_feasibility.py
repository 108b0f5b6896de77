"""Judging recipes before training: real networks, untrained."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from torch import nn

from search.config.student_spec import StudentRequirements
from search.cost_model.cost_setting import setting_of
from search.cost_model.cost_table import CostTable, shape_of
from search.cost_model.dry_run import measure_untrained, untrained
from search.cost_model.feasibility import Feasibility
from search.cost_model.verdict import Basis
from search.objectives.budget import Budget
from search.pipeline.study_context import StudyContext
from search.storage.storage import Store
from spaces import registry
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.pruning.depth import Depth
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.pruning.sparse_2_4 import SparseTwoOfFour
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_mixed import Int8Mixed
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.ternary import Ternary
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from tests.messages import naming

NewRecipe = Callable[..., Recipe]


@dataclass(frozen=True)
class Counted(Timm):
    """Counts how often its network is built."""

    builds: ClassVar[list[str]] = []

    def build(self, **asked: object) -> nn.Module:  # type: ignore[override]
        self.builds.append(self.model)
        return super().build(**asked)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def builds() -> Iterator[list[str]]:
    """The models that were built in this test by `Counted`."""
    Counted.builds.clear()
    yield Counted.builds
    Counted.builds.clear()


def _requirements(context: StudyContext, **limits: object) -> StudentRequirements:
    return replace(context.requirements, budget=Budget.model_validate(limits))


def _size(recipe: Recipe, requirements: StudentRequirements) -> float:
    """Bytes of the recipe's student, really made."""
    network, _ = recipe.pruning.apply(
        untrained(recipe.student, requirements), requirements.example()
    )
    return measure_untrained(network, recipe, requirements, timed=False)["size_bytes"]


def _cut(recipe: NewRecipe, ratio: float, **methods: object) -> Recipe:
    return recipe(student=Counted(), pruning=Magnitude(ratio=ratio), **methods)


def _schooled_table(recipe: NewRecipe, context: StudyContext) -> CostTable:
    """Costs of one student at some ratios."""
    table = CostTable()
    feasibility = Feasibility(_requirements(context), table, timed=False)
    for ratio in (0.2, 0.3, 0.4, 0.5, 0.6):
        feasibility.measure(_cut(recipe, ratio))
    return table


@pytest.mark.slow
def test_no_recipe_is_falsely_judged_by_its_size(context: StudyContext, recipe: NewRecipe) -> None:
    requirements = _requirements(context, size=200_000)
    feasibility = Feasibility(requirements, CostTable(), timed=False)
    generator = np.random.default_rng(0)
    verdicts = []
    for number in range(28):
        wanted = recipe(
            student=Timm(model=("test_resnet", "test_byobnet")[number % 2]),
            pruning=Magnitude(ratio=float(generator.uniform(0.1, 0.7))),
            quantization=(Float32(), Int8Static())[number // 2 % 2],
        )
        verdicts.append((feasibility.judge(wanted), _size(wanted, requirements)))
    assert [v.admitted for v, _ in verdicts] == [size <= 200_000 for _, size in verdicts]
    assert {v.basis for v, _ in verdicts} >= {Basis.MEASURED, Basis.BOUND, Basis.PREDICTED}
    assert {v.admitted for v, _ in verdicts} == {True, False}


def test_the_same_shape_is_built_once(
    context: StudyContext, recipe: NewRecipe, builds: list[str]
) -> None:
    feasibility = Feasibility(_requirements(context, size=100_000), CostTable())
    first = feasibility.judge(_cut(recipe, 0.5))
    built = len(builds)
    assert feasibility.judge(_cut(recipe, 0.5)) == first
    assert built == len(builds) == 1


def test_what_recovery_a_student_gets_does_not_change_its_cost(recipe: NewRecipe) -> None:
    long, short = (recipe(pruning=Magnitude(ratio=0.3, recovery=share)) for share in (1.0, 0.0))
    assert shape_of(long) == shape_of(short)


def test_a_student_cut_less_than_one_too_large_is_too_large(
    context: StudyContext, recipe: NewRecipe
) -> None:
    table = CostTable()
    feasibility = Feasibility(_requirements(context, size=1000), table)
    feasibility.judge(_cut(recipe, 0.6))
    version = table.version
    verdict = feasibility.judge(_cut(recipe, 0.3))
    assert (verdict.admitted, verdict.basis) == (False, Basis.BOUND)
    assert "size" in verdict.reason
    assert table.version == version


@pytest.mark.parametrize("limit", [{"size": 10_000}, {"parameters": 1000}, {"macs": 1000}])
def test_a_student_whose_weights_alone_are_too_much_is_not_even_exported(
    limit: dict[str, int], context: StudyContext, recipe: NewRecipe
) -> None:
    table = CostTable()
    verdict = Feasibility(_requirements(context, **limit), table).judge(recipe())
    assert (verdict.admitted, verdict.basis) == (False, Basis.BOUND)
    assert next(iter(limit)) in verdict.reason.lower()
    assert table.version == 0


@pytest.mark.parametrize("method", registry.methods("quantization"))
def test_the_weights_alone_never_count_for_more_than_the_file(
    method: str, context: StudyContext, recipe: NewRecipe
) -> None:
    quantization = registry.method("quantization", method)()
    for model in ("test_resnet", "test_vit"):
        wanted = recipe(student=Timm(model=model), quantization=quantization)
        # Not every byte is the same: ranges are calibrated on noise.
        size = round(1.01 * _size(wanted, _requirements(context)))
        verdict = Feasibility(_requirements(context, size=size), CostTable(), timed=False).judge(
            wanted
        )
        assert verdict.admitted, verdict.reason


def test_a_predicted_cost_is_near_the_measured_one(
    context: StudyContext, recipe: NewRecipe
) -> None:
    feasibility = Feasibility(_requirements(context), _schooled_table(recipe, context), timed=False)
    estimate = feasibility.estimate(_cut(recipe, 0.45))
    found = Feasibility(_requirements(context), CostTable(), timed=False).measure(
        _cut(recipe, 0.45)
    )
    assert estimate
    assert found
    assert estimate.cost["parameters"] == found["parameters"]
    assert estimate.cost["macs"] == pytest.approx(found["macs"], rel=estimate.errors["macs"])
    assert estimate.cost["size_bytes"] == pytest.approx(
        found["size_bytes"], rel=estimate.errors["size_bytes"]
    )


def test_nothing_is_predicted_of_a_student_that_was_never_measured(
    context: StudyContext, recipe: NewRecipe
) -> None:
    assert Feasibility(_requirements(context), CostTable()).predict(_cut(recipe, 0.3)) is None


def test_a_prediction_within_its_error_of_the_limit_is_measured(
    context: StudyContext, recipe: NewRecipe
) -> None:
    table, wanted = _schooled_table(recipe, context), _cut(recipe, 0.45)
    predicted = Feasibility(_requirements(context), table).predict(wanted)
    assert predicted
    verdicts = [
        Feasibility(
            _requirements(context, size=round(predicted["size_bytes"] * share)), table, timed=False
        )
        for share in (0.9, 1.0, 1.1)
    ]
    assert [feasibility.judge(wanted).basis for feasibility in (verdicts[0], verdicts[2])] == (
        [Basis.PREDICTED] * 2
    )
    assert verdicts[1].judge(wanted).basis is Basis.MEASURED


def test_a_cost_is_known_to_fit_where_the_limit_lies_outside_its_error(
    context: StudyContext, recipe: NewRecipe
) -> None:
    table, wanted = _schooled_table(recipe, context), _cut(recipe, 0.45)
    predicted = Feasibility(_requirements(context), table).predict(wanted)
    assert predicted
    ample, tight, short = (
        Feasibility(
            _requirements(context, size=round(predicted["size_bytes"] * share)), table, timed=False
        )
        for share in (1.1, 1.0, 0.9)
    )
    assert ample.fitting_cost(wanted) == predicted
    assert tight.fitting_cost(wanted) is None  # the limit lies within the error
    assert short.fitting_cost(wanted) is None


def _timed_table(recipe: NewRecipe, context: StudyContext) -> CostTable:
    """Costs of one student at some ratios, a microsecond for each thousand MACs."""
    table = CostTable()
    for ratio in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        count = Feasibility(_requirements(context), CostTable(), timed=False).measure(
            _cut(recipe, ratio)
        )
        assert count
        timed = {**count, "latency_ms": count["macs"] / 1e6, "latency_p95_ms": count["macs"] / 1e6}
        table.add(shape_of(_cut(recipe, ratio)), timed)
    return table


def test_a_latency_that_is_clearly_too_long_is_not_measured(
    context: StudyContext, recipe: NewRecipe
) -> None:
    table = _timed_table(recipe, context)
    version = table.version
    verdict = Feasibility(_requirements(context, latency="0.001ms"), table).judge(
        _cut(recipe, 0.25)
    )
    assert (verdict.admitted, verdict.basis) == (False, Basis.PREDICTED)
    assert "latency" in verdict.reason
    assert table.version == version


def test_a_target_elsewhere_is_not_timed_here(context: StudyContext, recipe: NewRecipe) -> None:
    feasibility = Feasibility(_requirements(context, latency="0.001ms"), CostTable(), timed=False)
    verdict = feasibility.judge(_cut(recipe, 0.5))
    assert verdict.admitted
    assert verdict.cost
    assert "latency_ms" not in verdict.cost
    assert feasibility.fitting_cost(_cut(recipe, 0.5)) is None


@pytest.mark.parametrize(("share", "admitted"), [(0.5, False), (0.98, True), (1.5, True)])
def test_a_target_elsewhere_refuses_what_is_clearly_too_slow_alone(
    context: StudyContext, recipe: NewRecipe, share: float, *, admitted: bool
) -> None:
    table = _timed_table(recipe, context)
    wanted = _cut(recipe, 0.25)
    predicted = Feasibility(_requirements(context), table, timed=False).predict(wanted)
    assert predicted
    assert predicted["latency_ms"]
    requirements = _requirements(context, latency=f"{share * predicted['latency_ms']}ms")
    verdict = Feasibility(requirements, table, timed=False).judge(wanted)
    assert (verdict.admitted, verdict.basis) == (admitted, Basis.PREDICTED)


@pytest.mark.parametrize("pruning", [NoPruning(), Magnitude(), Depth()], ids=lambda one: one.name)
def test_a_network_that_cannot_take_the_images_is_refused_however_it_is_cut(
    context: StudyContext, recipe: NewRecipe, pruning: Pruning
) -> None:
    feasibility = Feasibility(_requirements(context), CostTable(), timed=False)
    verdict = feasibility.judge(recipe(student=Timm(model="inception_v3"), pruning=pruning))
    assert (verdict.admitted, verdict.basis) == (False, Basis.UNSOUND)
    assert naming("InceptionV3").search(verdict.reason)


def test_what_a_trial_was_found_to_cost_is_taken_up(
    context: StudyContext, recipe: NewRecipe
) -> None:
    feasibility = Feasibility(_requirements(context, latency="1ms"), CostTable(), timed=False)
    cost = {"size_bytes": 10, "parameters": 5, "macs": 7, "latency_ms": 2.0, "latency_p95_ms": 3.0}
    feasibility.learn(_cut(recipe, 0.5), cost)
    verdict = feasibility.judge(_cut(recipe, 0.5))
    assert (verdict.admitted, verdict.cost, verdict.basis) == (False, cost, Basis.MEASURED)


def test_a_limited_count_that_the_table_lacks_is_counted_anew(
    context: StudyContext, recipe: NewRecipe, builds: list[str]
) -> None:
    wanted = _cut(recipe, 0.5)
    table = CostTable()
    table.add(shape_of(wanted), {"size_bytes": 10, "parameters": 5})  # no such limit was known
    free = Feasibility(_requirements(context, size=100), table, timed=False)
    assert free.judge(wanted).admitted
    assert builds == []
    limited = Feasibility(_requirements(context, macs=10**9), table, timed=False)
    assert limited.fitting_cost(wanted) is None
    verdict = limited.judge(wanted)
    assert (verdict.admitted, verdict.basis) == (True, Basis.MEASURED)
    known = table.get(shape_of(wanted))
    assert known
    assert known["macs"] > 0
    assert (known["size_bytes"], known["parameters"]) == (10, 5)  # what was known first stays
    assert limited.fitting_cost(wanted) == known


def test_a_student_that_cannot_be_cut_is_refused_and_not_tried_again(
    context: StudyContext, recipe: NewRecipe, builds: list[str]
) -> None:
    wanted = recipe(student=Counted(model="test_efficientnet"), pruning=Depth())
    feasibility = Feasibility(_requirements(context), CostTable())
    verdict = feasibility.judge(wanted)
    assert (verdict.admitted, verdict.basis) == (False, Basis.UNSOUND)
    assert naming("blocks").search(verdict.reason)
    assert feasibility.judge(wanted) == verdict
    assert len(builds) == 1


def test_a_recipe_that_contradicts_itself_is_refused_unseen(
    context: StudyContext, recipe: NewRecipe, builds: list[str]
) -> None:
    @dataclass(frozen=True)
    class Contrary(Magnitude):
        def conflict(self, recipe: Recipe) -> str | None:
            return "it never fits"

    wanted = recipe(student=Counted(), pruning=Contrary())
    verdict = Feasibility(_requirements(context), CostTable()).judge(wanted)
    assert verdict.basis is Basis.CONFLICT
    assert naming("pruning.magnitude", "it never fits").search(verdict.reason)
    assert builds == []


def test_a_later_study_measures_nothing_that_the_store_knows(
    context: StudyContext, recipe: NewRecipe, store: Store, builds: list[str]
) -> None:
    requirements = _requirements(
        context, size=_size(_cut(recipe, 0.5), _requirements(context)) - 100
    )
    setting = setting_of(requirements)

    def feasibility() -> Feasibility:
        table = CostTable(
            store.costs(setting), on_add=lambda shape, cost: store.keep_cost(setting, shape, cost)
        )
        return Feasibility(requirements, table)

    first = feasibility().judge(_cut(recipe, 0.5))
    builds.clear()
    assert feasibility().judge(_cut(recipe, 0.5)) == first
    assert builds == []


@pytest.mark.parametrize(
    ("quantization", "basis"), [(Int8Static(), Basis.BOUND), (Ternary(tuning=0.0), Basis.MEASURED)]
)
def test_a_larger_file_of_a_larger_cut_bounds_no_format_that_may_grow_so(
    quantization: Quantization, basis: Basis, context: StudyContext, recipe: NewRecipe
) -> None:
    table = CostTable()
    # Of few numbers in a channel it may hold floats where it had codes.
    larger = shape_of(_cut(recipe, 0.6, quantization=quantization))
    table.add(larger, {"size_bytes": 10**9, "parameters": 1, "macs": 1})
    feasibility = Feasibility(_requirements(context, size=10**8), table, timed=False)
    assert feasibility.judge(_cut(recipe, 0.5, quantization=quantization)).basis is basis


def test_a_recipe_is_predicted_to_cost_the_same_each_time(
    context: StudyContext, recipe: NewRecipe
) -> None:
    # These shapes follow the weights' sizes, which are drawn.
    chosen = recipe(student=Counted(), pruning=Magnitude(ratio=0.4, scope="global"))
    once = Feasibility(_requirements(context), CostTable(), timed=False).measure(chosen)
    assert Feasibility(_requirements(context), CostTable(), timed=False).measure(chosen) == once


@pytest.mark.parametrize(("share", "admitted"), [(1.05, True), (0.95, True), (0.7, False)])
def test_shapes_that_depend_on_what_is_learned_are_given_a_margin(
    share: float, admitted: bool, context: StudyContext, recipe: NewRecipe
) -> None:
    chosen = recipe(student=Counted(), pruning=Magnitude(ratio=0.4, scope="global"))
    limit = int(share * _size(chosen, context.requirements))
    verdict = Feasibility(_requirements(context, size=limit), CostTable(), timed=False).judge(
        chosen
    )
    assert verdict.admitted == admitted
    assert bool(verdict.reason) != admitted


def test_costs_that_depend_on_what_is_learned_are_kept_in_no_table(
    context: StudyContext, recipe: NewRecipe
) -> None:
    chosen = recipe(student=Counted(), pruning=Magnitude(ratio=0.4, scope="global"))
    table = CostTable()
    feasibility = Feasibility(_requirements(context), table, timed=False)
    feasibility.judge(chosen)
    assert table.version == 0
    shipped = {"size_bytes": 1, "parameters": 2, "macs": 3, "latency_ms": 4.0}
    feasibility.learn(chosen, shipped)
    assert feasibility.predict(chosen) == shipped


def test_a_cost_that_follows_no_ratio_is_told_from_the_nearest(
    context: StudyContext, recipe: NewRecipe
) -> None:
    feasibility = Feasibility(_requirements(context), CostTable(), timed=False)
    for ratio in (0.2, 0.6):
        feasibility.measure(_cut(recipe, ratio))
    uniform, rounded = (
        feasibility.estimate(recipe(student=Counted(), pruning=pruning))
        for pruning in (Magnitude(ratio=0.4), Magnitude(ratio=0.4, round_to=8))
    )
    assert uniform
    assert rounded
    assert rounded.cost == uniform.cost
    assert min(rounded.errors.values()) > max(uniform.errors.values())


def test_bytes_that_follow_what_is_learned_are_told_from_others_of_the_format(
    context: StudyContext, recipe: NewRecipe
) -> None:
    feasibility = Feasibility(_requirements(context), CostTable(), timed=False)
    for ratio in (0.2, 0.6):
        feasibility.measure(_cut(recipe, ratio, quantization=Int8Mixed()))
    wanted = _cut(recipe, 0.4, quantization=Int8Mixed())
    estimate = feasibility.estimate(wanted)
    assert estimate
    assert estimate.cost["size_bytes"] == pytest.approx(
        _size(wanted, context.requirements), rel=0.1
    )
    assert estimate.errors["size_bytes"] >= Int8Mixed().size_error
    assert feasibility.estimate(_cut(recipe, 0.4)) is None


def test_how_a_student_is_trained_does_not_change_its_shape(recipe: NewRecipe) -> None:
    for one, other in (
        ({"quantization": Int8Qat(tuning=0.1)}, {"quantization": Int8Qat(tuning=0.5)}),
        ({"pruning": SparseTwoOfFour(recovery=0.1)}, {"pruning": SparseTwoOfFour()}),
    ):
        assert shape_of(recipe(**one)) == shape_of(recipe(**other))
    assert shape_of(recipe(pruning=Depth(ratio=0.2))) != shape_of(recipe(pruning=Depth()))


def test_rounded_shapes_are_known_exactly(context: StudyContext, recipe: NewRecipe) -> None:
    chosen = recipe(student=Counted(), pruning=Magnitude(ratio=0.4, round_to=8))
    feasibility = Feasibility(_requirements(context), CostTable(), timed=False)
    feasibility.judge(chosen)
    assert (cost := feasibility.fitting_cost(chosen))
    assert cost["size_bytes"] == _size(chosen, context.requirements)
