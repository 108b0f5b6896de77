import math
from collections.abc import Sequence

import optuna
import pytest

from spaces.distributions import AnyName, Distribution, FloatRange, IntRange, OneOf, Scalar, narrow
from tests.messages import naming

SHARE = FloatRange(0.0, 1.0)
EPOCHS = IntRange(1, 100, log=True)
FORMAT = OneOf(("float32", "int8"))


class Highest:
    """Suggests the upper end of every range and the last of every list."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return high

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return high

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        return choices[-1]


RATE = FloatRange(1e-5, 1.0, log=True, word="auto")


@pytest.mark.parametrize("distribution", [SHARE, EPOCHS, FORMAT])
def test_a_distribution_contains_its_edges(distribution: Distribution) -> None:
    assert [edge for edge in distribution.edges() if not distribution.contains(edge)] == []


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (SHARE, -0.001),
        (SHARE, 1.001),
        (SHARE, math.nan),
        (SHARE, math.inf),
        (SHARE, "0.5"),
        (SHARE, True),
        (SHARE, 10**400),
        (EPOCHS, 0),
        (EPOCHS, 101),
        (EPOCHS, 5.0),
        (EPOCHS, True),
        (FORMAT, "int4"),
        (OneOf((1, 2)), True),
        (OneOf((1, 2)), 1.0),
        (AnyName("timm model"), ""),
        (AnyName("timm model"), 5),
    ],
)
def test_a_distribution_does_not_contain_what_is_outside_or_of_another_type(
    distribution: Distribution, value: object
) -> None:
    assert not distribution.contains(value)


@pytest.mark.parametrize(
    "distribution",
    [
        FloatRange(0.3, 0.9),  # 0.3 + (0.9 - 0.3) is 0.9000000000000001
        FloatRange(0.1, 0.7),
        FloatRange(1e-3, 0.7, log=True),
        FloatRange(3e-3, 1e-2, log=True),
        IntRange(3, 10),
        IntRange(1, 7, log=True),
    ],
)
def test_no_place_of_a_range_lies_outside_of_it(distribution: FloatRange | IntRange) -> None:
    assert [
        share for share in (0.0, 0.5, 1.0) if not distribution.contains(distribution.at(share))
    ] == []
    assert (distribution.at(0.0), distribution.at(1.0)) == distribution.edges()


def test_a_float_range_contains_an_integer() -> None:
    assert SHARE.contains(1)


@pytest.mark.parametrize(
    ("distribution", "count"),
    [
        (SHARE, math.inf),
        (FloatRange(0.5, 0.5), 1),
        (IntRange(3, 5), 3),
        (FORMAT, 2),
        (AnyName("timm model"), math.inf),
    ],
)
def test_a_distribution_counts_its_values(distribution: Distribution, count: float) -> None:
    assert distribution.count() == count


@pytest.mark.parametrize("distribution", [SHARE, EPOCHS, FORMAT])
def test_a_distribution_suggests_one_of_its_values_through_optuna(
    distribution: Distribution,
) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert distribution.contains(distribution.suggest(trial, "parameter"))


@pytest.mark.parametrize(
    ("distribution", "highest"), [(SHARE, 1.0), (EPOCHS, 100), (FORMAT, "int8")]
)
def test_a_suggestion_spans_the_whole_distribution(
    distribution: Distribution, highest: Scalar
) -> None:
    assert distribution.suggest(Highest(), "parameter") == highest


def test_any_name_can_not_be_searched_openly() -> None:
    with pytest.raises(ValueError, match=naming("student.timm.model", "timm model")):
        AnyName("timm model").suggest(Highest(), "student.timm.model")


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_a_range_upside_down_or_not_finite_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=naming(*bounds)):
        FloatRange(*bounds)


@pytest.mark.parametrize("kind", [FloatRange, IntRange])
def test_a_log_range_from_zero_is_refused(kind: type[FloatRange] | type[IntRange]) -> None:
    with pytest.raises(ValueError, match=naming("log", 0)):
        kind(0, 1, log=True)


@pytest.mark.parametrize(("options", "named"), [((), "options"), ((1, 1), "[1, 1]")])
def test_options_must_be_some_and_differ(options: tuple[Scalar, ...], named: str) -> None:
    with pytest.raises(ValueError, match=naming(named)):
        OneOf(options)


@pytest.mark.parametrize(
    ("distribution", "wanted", "expected"),
    [
        (SHARE, 0.5, OneOf((0.5,))),
        (SHARE, 1, OneOf((1.0,))),
        (SHARE, [0, 0.5], OneOf((0.0, 0.5))),
        (SHARE, {"low": 0.25}, FloatRange(0.25, 1.0)),
        (SHARE, {"low": 0.25, "high": 1, "log": True}, FloatRange(0.25, 1.0, log=True)),
        (EPOCHS, {"high": 8, "log": False}, IntRange(1, 8)),
        (EPOCHS, {}, EPOCHS),
        (FORMAT, ["int8"], OneOf(("int8",))),
        (AnyName("timm model"), ["a", "b"], OneOf(("a", "b"))),
    ],
)
def test_a_study_narrows_a_distribution(
    distribution: Distribution, wanted: object, expected: Distribution
) -> None:
    assert narrow(distribution, wanted) == expected


def test_integers_that_a_study_gives_for_floats_become_floats() -> None:
    assert [type(edge) for edge in narrow(SHARE, {"low": 0, "high": 1}).edges()] == [float, float]


@pytest.mark.parametrize(
    ("distribution", "wanted", "facts"),
    [
        (SHARE, 1.5, [0, 1, 1.5]),
        (SHARE, None, [0, 1, None]),
        (SHARE, [], ["options"]),
        (SHARE, [0, 0.0], ["[0.0, 0.0]"]),
        (SHARE, {"low": 0.5, "high": 0.25}, [0.5, 0.25]),
        (SHARE, {"low": 0, "log": True}, ["log", 0.0]),
        (SHARE, {"log": "yes"}, ["log", "'yes'"]),
        (SHARE, {"min": 0}, ["low", "high", "log", "'min'"]),
        (EPOCHS, {"high": 101}, [1, 100, 101]),
        (EPOCHS, 2.0, [1, 100, 2.0]),
        (FORMAT, "int9", ["float32", "int8", "'int9'", "'int8'"]),
        (FORMAT, {"low": 1}, ["float32", "int8", {"low": 1}]),
        (AnyName("timm model"), [3], ["timm model", 3]),
    ],
)
def test_what_lies_outside_a_distribution_is_refused_with_its_bounds(
    distribution: Distribution, wanted: object, facts: list[object]
) -> None:
    with pytest.raises(ValueError, match=naming(*facts)):
        narrow(distribution, wanted)


def test_a_range_may_have_a_word_in_place_of_a_number() -> None:
    assert RATE.contains("auto")
    assert not RATE.contains("autos")
    assert not SHARE.contains("auto")
    assert narrow(RATE, "auto") == OneOf(("auto",))
    assert narrow(RATE, ["auto", 1]) == OneOf(("auto", 1.0))
    assert narrow(RATE, {"low": 1e-3}) == FloatRange(1e-3, 1.0, log=True)
    assert str(RATE) == "1e-05 to 1 (log), or auto"


@pytest.mark.parametrize("wanted", ["auot", {"low": "auto"}])
def test_a_range_takes_no_other_word_and_has_no_word_as_its_end(wanted: object) -> None:
    with pytest.raises(ValueError, match=naming("1e-05 to 1", "auto")):
        narrow(RATE, wanted)
