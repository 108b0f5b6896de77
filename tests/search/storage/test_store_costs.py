"""The table of costs, and trials that ended before they began."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from search.errors import StoreError
from search.records import CostSetting, Outcome, Shape, TrialState
from search.storage.storage import Store
from tests.measured import cost

SETTING = CostSetting(
    channels=1,
    image_size=32,
    classes=10,
    processor="a processor",
    device="cpu",
    threads=1,
    runtime="onnxruntime 1.0",
)
SHAPE = Shape(student='{"timm": "a"}', pruning='{"ratio": 0.3}', quantization='{"float32": {}}')
COST = cost(size_bytes=1000, parameters=240, macs=3_000_000_000, latency_ms=0.5, latency_p95_ms=0.7)
UNTIMED = {name: value for name, value in COST.items() if "latency" not in name}


def test_a_cost_is_known_after_it_is_kept(store: Store) -> None:
    store.keep_cost(SETTING, SHAPE, COST)
    assert store.costs(SETTING) == {SHAPE: COST}


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 3},
        {"image_size": 64},
        {"classes": 3},
        {"processor": "another"},
        {"device": "cuda"},
        {"threads": 2},
        {"runtime": "onnxruntime 2.0"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_cost_holds_in_its_own_setting_only(store: Store, change: dict[str, object]) -> None:
    store.keep_cost(SETTING, SHAPE, COST)
    assert store.costs(replace(SETTING, **change)) == {}  # type: ignore[arg-type]


def test_keeping_a_cost_twice_keeps_the_first(store: Store) -> None:
    store.keep_cost(SETTING, SHAPE, COST)
    store.keep_cost(SETTING, SHAPE, {**COST, "size_bytes": 2000, "latency_ms": 9.0})
    assert store.costs(SETTING) == {SHAPE: COST}


def test_a_cost_that_was_not_timed_gains_its_latency_later(store: Store) -> None:
    store.keep_cost(SETTING, SHAPE, UNTIMED)
    store.keep_cost(SETTING, SHAPE, COST)
    assert store.costs(SETTING) == {SHAPE: COST}


def test_a_latency_is_not_lost_to_a_later_counting(store: Store) -> None:
    store.keep_cost(SETTING, SHAPE, COST)
    store.keep_cost(SETTING, SHAPE, UNTIMED)
    assert store.costs(SETTING) == {SHAPE: COST}


def test_a_cost_must_be_finite(store: Store) -> None:
    with pytest.raises(StoreError, match="latency_ms must be finite"):
        store.keep_cost(SETTING, SHAPE, {**COST, "latency_ms": float("nan")})


def test_a_rejected_recipe_is_a_trial_that_has_ended(store: Store) -> None:
    outcome = Outcome(
        state=TrialState.INFEASIBLE, cost=UNTIMED, reason="large", violations={"size_bytes": 1.5}
    )
    before = store.pulse("digits")
    number = store.record_rejected("digits", params={"student": "timm"}, seed=7, outcome=outcome)
    trial = store.trial("digits", number)
    assert trial.outcome == outcome
    assert trial.finished_at is not None
    assert store.pulse("digits") > before
    assert store.start_trial("digits", params={}, seed=8) == number + 1


def test_a_store_of_the_first_schema_is_upgraded_with_what_it_holds(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where a server's backup is put
    config = Config()
    migrations = Path(sys.modules["search.storage.tables"].__file__ or "").parent / "migrations"
    config.set_main_option("script_location", str(migrations))
    engine = create_engine(store_url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        now = "2026-01-01 00:00:00.000000"
        connection.execute(
            text(
                "INSERT INTO studies (id, name, state, config, artifacts, created_at, changed_at) "
                "VALUES (1, 'old', 'finished', '{}', 'artifacts', :now, :now)"
            ),
            {"now": now},
        )
    engine.dispose()
    with Store.open(store_url) as store:
        store.keep_cost(SETTING, SHAPE, COST)
        assert store.names() == ["old"]
        assert store.costs(SETTING) == {SHAPE: COST}
