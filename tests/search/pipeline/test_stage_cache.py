"""Stages that were computed: kept, found again, thrown away in time, and never wrongly reused."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from search.data.views.augmentation import Augmentation
from search.data.views.view import Views
from search.evaluation.artifact import load_network
from search.files.atomic import CHECKSUMS
from search.objectives.goal import DEFAULT_GOAL
from search.objectives.metric import Metric
from search.objectives.metrics import ACCURACY, AGREEMENT, BALANCED_ACCURACY
from search.pipeline.lineage import Lineage
from search.pipeline.stage_cache import Stage, StageCache
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import EpochRecord, Measurement, Outcome, StageRecord, TrialState
from search.tuner.pinning import FrontierPins
from spaces.axes.distillation import Distillation
from spaces.axes.pruning import CutSide
from spaces.distillation.labels import Labels
from spaces.distillation.soft_targets import SoftTargets
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.training.standard import Standard

pytestmark = pytest.mark.slow

NewRecipe = Callable[..., Recipe]

VIEWS = Views(seed=0, augmentation=Augmentation(), count=4)
LINEAGE = Lineage(data="d", views=VIEWS, teacher="t", device="cpu", metric=ACCURACY.name)


def _stage(numbers: int = 4) -> Stage:
    return Stage(
        cuts=(("conv", CutSide.OUTPUTS, [0, 2]),),
        stages=(StageRecord(name="distil", seconds=2.0, score=0.5, cost={"macs": 3}),),
        epochs=(EpochRecord(stage="distil", epoch=0, loss=1.0, score=0.5, learning_rate=0.1),),
        weights={"weight": torch.arange(float(numbers))},
    )


def _cache(folder: Path, limit: int = 10**6) -> StageCache:
    return StageCache(folder, limit_bytes=limit)


def _age(folder: Path, seconds: int) -> None:
    os.utime(folder, (seconds, seconds))


def test_a_stage_is_read_back_as_it_was(tmp_path: Path) -> None:
    _cache(tmp_path).write("key", _stage())
    found = _cache(tmp_path).read("key")
    assert found is not None
    assert torch.equal(found.weights["weight"], _stage().weights["weight"])
    assert replace(found, weights={}) == replace(_stage(), weights={})


def test_a_stage_that_was_never_written_is_not_there(tmp_path: Path) -> None:
    assert _cache(tmp_path).read("key") is None


@pytest.mark.parametrize("name", ["weights.safetensors", "stage.json", CHECKSUMS])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_fault_12_a_damaged_stage_counts_as_none(name: str, how: str, tmp_path: Path) -> None:
    _cache(tmp_path).write("key", _stage())
    file = tmp_path / "key" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"flipped": bytes(content), "cut": bytes(content[: len(content) // 2])}
    file.write_bytes(damaged[how]) if how in damaged else file.unlink()
    assert _cache(tmp_path).read("key") is None


def test_nothing_is_kept_where_the_limit_is_zero(tmp_path: Path) -> None:
    cache = _cache(tmp_path / "stages", limit=0)
    cache.write("key", _stage())
    assert cache.checkpoint("key") is None
    assert not (tmp_path / "stages").exists()
    _cache(tmp_path / "stages").write("key", _stage())
    assert cache.read("key") is None


def test_a_cache_that_cannot_be_written_keeps_nothing_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = _cache(tmp_path / "file")
    cache.write("key", _stage())
    assert cache.read("key") is None


def test_what_another_process_is_writing_is_not_thrown_out(tmp_path: Path) -> None:
    cache = _cache(tmp_path, limit=1)
    under_way = tmp_path / ".other.0123.tmp"
    under_way.mkdir()
    (under_way / "weights.safetensors").write_bytes(bytes(1000))
    _age(under_way, 1)
    cache.write("key", _stage())
    assert under_way.is_dir()


def test_the_least_recently_used_stage_goes_first(tmp_path: Path) -> None:
    cache = _cache(tmp_path, limit=12_000)
    for age, key in enumerate(("first", "second"), start=1):
        cache.write(key, _stage(1000))
        _age(tmp_path / key, age)
    assert cache.read("first") is not None  # and so was used just now
    cache.write("third", _stage(1000))
    cache.write("fourth", _stage(1000))
    assert cache.read("second") is None
    assert cache.read("first") is not None


def test_what_is_pinned_stays_however_long_ago_it_was_used(tmp_path: Path) -> None:
    cache = _cache(tmp_path, limit=5_000)
    cache.write("precious", _stage(1000))
    _age(tmp_path / "precious", 1)
    cache.pin("study", {"precious"})
    for key in ("a", "b", "c"):
        cache.write(key, _stage(1000))
    assert cache.read("precious") is not None
    assert cache.read("a") is None


def test_another_study_does_not_unpin_what_one_needs(tmp_path: Path) -> None:
    cache = _cache(tmp_path, limit=5_000)
    cache.write("precious", _stage(1000))
    _age(tmp_path / "precious", 1)
    cache.pin("one", {"precious"})
    cache.pin("other", {"something"})
    cache.write("a", _stage(1000))
    cache.write("b", _stage(1000))
    assert cache.read("precious") is not None


def test_the_key_tells_all_that_a_training_follows_from(recipe: NewRecipe) -> None:
    plain = recipe()
    key = LINEAGE.training_key(plain, 0)
    assert key == LINEAGE.training_key(plain, 0)
    others = [
        LINEAGE.training_key(plain, 1),
        LINEAGE.training_key(recipe(training=Standard(epochs=2)), 0),
        LINEAGE.training_key(recipe(distillation=SoftTargets()), 0),
        *(
            replace(LINEAGE, **{name: "other"}).training_key(plain, 0)
            for name in ("data", "device")
        ),
        replace(LINEAGE, views=replace(VIEWS, seed=1)).training_key(plain, 0),
        replace(LINEAGE, metric=BALANCED_ACCURACY.name).training_key(plain, 0),
    ]
    assert len({key, *others}) == len(others) + 1


def test_the_number_of_views_counts_where_epochs_repeat_cached_ones(recipe: NewRecipe) -> None:
    def key(count: int, epochs: int, distillation: Distillation) -> str:
        lineage = replace(LINEAGE, views=replace(VIEWS, count=count))
        short = recipe(training=Standard(epochs=epochs), distillation=distillation)
        return lineage.training_key(short, 0)

    assert key(4, 6, SoftTargets()) != key(5, 6, SoftTargets())
    assert key(4, 4, SoftTargets()) == key(5, 4, SoftTargets())
    assert key(4, 6, Labels()) == key(5, 6, Labels())


def test_what_comes_later_does_not_change_the_key(recipe: NewRecipe) -> None:
    cut = recipe(pruning=Magnitude(ratio=0.4))
    assert LINEAGE.training_key(cut, 0) == LINEAGE.training_key(recipe(), 0)
    assert LINEAGE.pruning_key(cut, 0) != LINEAGE.pruning_key(recipe(), 0)
    quantized = replace(cut, quantization=Int8Static())
    assert LINEAGE.pruning_key(quantized, 0) == LINEAGE.pruning_key(cut, 0)


@pytest.mark.parametrize(
    ("distillation", "metric", "same"),
    [
        (Labels(), ACCURACY, True),
        (SoftTargets(), ACCURACY, False),
        (Labels(), AGREEMENT, False),
    ],
)
def test_the_teacher_matters_only_to_a_distillation_or_a_metric_that_asks_it(
    distillation: object, metric: Metric, same: bool, recipe: NewRecipe
) -> None:
    taught = recipe(distillation=distillation)
    one, other = (replace(LINEAGE, metric=metric.name, teacher=name) for name in ("t", "another"))
    assert (one.training_key(taught, 0) == other.training_key(taught, 0)) is same


def _compressed(recipe: NewRecipe, **methods: object) -> Recipe:
    return recipe(
        training=Standard(epochs=2, batch_size=16, warmup_epochs=1),
        pruning=Magnitude(ratio=0.4, recovery=0.5),
        **methods,
    )


def _run(recipe: Recipe, context: StudyContext) -> Outcome:
    outcome = finish(run_trial(recipe, context, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    return outcome


def test_a_trial_takes_over_the_stages_of_an_earlier_one(
    context: StudyContext, recipe: NewRecipe
) -> None:
    first = _run(_compressed(recipe), context)
    second = _run(_compressed(recipe, quantization=Int8Static()), context)
    assert [stage.name for stage in second.stages if stage.reused] == ["distil", "prune", "recover"]
    assert not any(stage.reused for stage in first.stages)
    assert second.epochs == first.epochs
    assert [stage.score for stage in second.stages] == [stage.score for stage in first.stages]


def test_a_student_comes_out_the_same_from_the_cache_as_without_it(
    context: StudyContext, recipe: NewRecipe, tmp_path: Path
) -> None:
    found = []
    uncached = replace(context, stages=_cache(tmp_path / "none", limit=0))
    for case in (uncached, context, context):
        outcome = _run(_compressed(recipe), case)
        assert outcome.artifact
        found.append(load_network(context.artifacts.folder / outcome.artifact.path).state_dict())
    for weights in found[1:]:
        assert all(torch.equal(found[0][name], weights[name]) for name in found[0])


def test_a_trial_that_shares_its_training_alone_prunes_anew(
    context: StudyContext, recipe: NewRecipe
) -> None:
    _run(_compressed(recipe), context)
    second = _run(replace(_compressed(recipe), pruning=Magnitude(ratio=0.2, recovery=0.5)), context)
    assert [stage.name for stage in second.stages if stage.reused] == ["distil"]


def _outcome(accuracy: float, size: int, latency: float = 1.0) -> Outcome:
    return Outcome(
        state=TrialState.COMPLETE,
        cost={"size_bytes": size, "parameters": 1, "macs": 1, "latency_ms": latency},
        quality={"accuracy": Measurement(accuracy), "agreement": Measurement(accuracy)},
    )


def test_the_stages_of_the_frontier_are_pinned_as_it_moves(
    recipe: NewRecipe, tmp_path: Path
) -> None:
    def pinned() -> set[str]:
        return set((tmp_path / "pins" / "study").read_text().split())

    def keys(one: Recipe) -> set[str]:
        tuned = {LINEAGE.tuning_key(one, 0)} if one.quantization == Int8Qat() else set()
        return {LINEAGE.training_key(one, 0), LINEAGE.pruning_key(one, 0)} | tuned

    small, accurate = (recipe(training=Standard(epochs=n)) for n in (2, 3))
    better = recipe(training=Standard(epochs=4), quantization=Int8Qat())
    pins = FrontierPins("study", DEFAULT_GOAL, LINEAGE, _cache(tmp_path))
    pins.note(small, 0, _outcome(0.5, 100))
    pins.note(accurate, 0, _outcome(0.9, 200))
    pins.note(recipe(), 0, _outcome(0.4, 300))
    pins.keep()
    assert pinned() == keys(small) | keys(accurate)
    pins.note(better, 0, _outcome(0.9, 150))
    pins.keep()
    assert pinned() == keys(small) | keys(better)
    assert len(pinned()) == 5


def test_a_student_over_the_budget_pins_nothing(recipe: NewRecipe, tmp_path: Path) -> None:
    pins = FrontierPins("study", DEFAULT_GOAL, LINEAGE, _cache(tmp_path))
    pins.note(recipe(), 0, replace(_outcome(0.9, 100), violations={"size": 0.5}))
    pins.note(recipe(), 0, Outcome(state=TrialState.STOPPED))
    pins.keep()
    assert not (tmp_path / "pins").exists()
