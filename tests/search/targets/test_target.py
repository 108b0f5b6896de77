"""A budget for another machine: the search measures there, and later studies know what it found."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.config.target_settings import TargetSettings
from search.cost_model.cost_setting import setting_of
from search.cost_model.gate import open_admission
from search.objectives.budget import Budget
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import TrialState
from search.storage.storage import Store
from search.targets.agent_server import Agent
from spaces.processor import processor_name
from spaces.recipe import Recipe
from tests.messages import naming
from tests.recorder import TrialRecorder
from tests.search.targets.conftest import TOKEN, address_of, limit


@pytest.fixture
def requirements(context: StudyContext, agent: Agent) -> StudentRequirements:
    """Of students whose latency on the agent's machine is limited."""
    budget = Budget.model_validate({"latency": "1s"})
    return replace(
        context.requirements, budget=budget, target=TargetSettings(agent=address_of(agent))
    )


def _study() -> Study:
    teacher = {"model": "test_resnet", "train": {}}
    space = {"student": {"timm": {"model": ["test_resnet"]}}}
    data = {"source": "digits"}
    return Study.model_validate({"study": "d", "data": data, "teacher": teacher, "space": space})


def test_what_the_agent_measured_is_kept_for_its_processor_and_not_asked_again(
    requirements: StudentRequirements, agent: Agent, store: Store, recipe: Callable[..., Recipe]
) -> None:
    limit(agent, file_bytes=10**7)
    cost = open_admission(_study(), requirements, store).measure(recipe())
    assert cost
    assert "latency_ms" in cost
    (kept,) = store.costs(setting_of(requirements)).values()
    assert setting_of(requirements).processor == processor_name()
    # Without the names of this data's classes, which another study's file does not hold.
    assert kept == {**cost, "size_bytes": cost["size_bytes"] - requirements.metadata_bytes}
    limit(agent, file_bytes=0)  # from now on it measures nothing
    assert open_admission(_study(), requirements, store).measure(recipe()) == cost


def test_an_agent_that_does_not_measure_ends_no_search(
    requirements: StudentRequirements, agent: Agent, store: Store, recipe: Callable[..., Recipe]
) -> None:
    limit(agent, file_bytes=0)
    feasibility = open_admission(_study(), requirements, store)
    verdict = feasibility.judge(recipe())
    assert verdict.admitted
    assert verdict.cost
    assert "latency_ms" not in verdict.cost
    assert feasibility.fitting_cost(recipe()) is None  # the trial asks again
    limit(agent, file_bytes=10**7)
    assert (cost := feasibility.measure(recipe()))
    assert "latency_ms" in cost


def _stripes(agent: Agent, stripes_file: Path, tmp_path: Path) -> Study:
    return Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": stripes_file},
            "teacher": {"model": "test_resnet", "train": {"epochs": 1}},
            "space": {"student": {"timm": {"model": ["test_resnet"]}}},
            "budget": {"latency": "1s", "target": {"agent": address_of(agent)}},
            "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
        }
    )


def test_a_teacher_that_the_agent_does_not_measure_has_no_latency_and_ends_no_run(
    agent: Agent, stripes_file: Path, tmp_path: Path
) -> None:
    limit(agent, file_bytes=0)
    recorder = TrialRecorder()
    _, record = prepare_context(_stripes(agent, stripes_file, tmp_path), recorder)
    assert "latency_ms" not in record.cost
    assert any(naming("teacher's latency").search(said) for said in recorder.said)


@pytest.mark.parametrize(("here", "there", "warned"), [(True, False, 1), (False, True, 0)])
def test_that_the_target_multiplies_int8_otherwise_is_warned_of(
    agent: Agent,
    stripes_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    here: bool,
    there: bool,
    warned: int,
) -> None:
    monkeypatch.setattr("search.pipeline.setup.multiplies_int8_exactly", lambda: here)
    monkeypatch.setattr("spaces.processor.multiplies_int8_exactly", lambda: there)
    recorder = TrialRecorder()
    prepare_context(_stripes(agent, stripes_file, tmp_path), recorder)
    assert sum(bool(naming("int8").search(said)) for said in recorder.said) == warned


def test_a_trials_latency_is_the_agents(
    requirements: StudentRequirements,
    agent: Agent,
    context: StudyContext,
    recipe: Callable[..., Recipe],
) -> None:
    limit(agent, file_bytes=10**7)
    outcome = finish(
        run_trial(recipe(), replace(context, requirements=requirements), number=0, seed=0)
    )
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    assert outcome.hardware["agent"] == address_of(agent)
    assert outcome.hardware["processor"] == processor_name()
    assert TOKEN not in str(asdict(outcome))


def test_a_trial_whose_agent_fails_is_recorded_with_the_cause(
    requirements: StudentRequirements,
    agent: Agent,
    context: StudyContext,
    recipe: Callable[..., Recipe],
) -> None:
    limit(agent, file_bytes=0)
    outcome = finish(
        run_trial(recipe(), replace(context, requirements=requirements), number=0, seed=0)
    )
    assert outcome.state is TrialState.FAILED
    assert outcome.failure
    assert outcome.failure.kind == "TargetError"
    assert naming(413).search(outcome.failure.message)


@pytest.mark.parametrize(
    "agent_address", ["board:8765", "ftp://board", "http://me:secret@board", "http://"]
)
def test_a_target_names_its_agent_by_an_address_without_secrets(agent_address: str) -> None:
    with pytest.raises(ValidationError, match=naming("agent", "http://board:8765")):
        TargetSettings(agent=agent_address)
