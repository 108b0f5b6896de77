"""Sets up a study's tuner from the study, the trials' shared context and the store."""

import hashlib

from search.analysis.finals import of_kind
from search.config.study import Study
from search.cost_model.feasibility import Feasibility
from search.cost_model.gate import CostGate
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback
from search.records import TrialKind
from search.samplers.candidates import CostSource
from search.samplers.optuna_adapter import Sampler
from search.search_clock import SearchClock
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.tuner.early_stopping import EarlyStopping
from search.tuner.learners import Learners
from search.tuner.pinning import FrontierPins
from search.tuner.tuner import Tuner
from search.tuner.warm_start import warm_start_sampler


def open_tuner(
    study: Study,
    spec: StudyContextSpec,
    *,
    store: Store,
    callback: Callback,
    feasibility: Feasibility,
    clock: SearchClock,
) -> Tuner:
    """Make a tuner that has learned from the stored trials of this study and of its warm start.

    Args:
        study: the study.
        spec: the context that its trials share.
        store: the store that contains the study.
        callback: receives the events of the search.
        feasibility: decides by cost which recipes may be trained.
        clock: the clock of the search time of all its runs.

    Raises:
        StoreError: the store can't be read, or contains a recipe that this version does not know.
    """
    trials = of_kind(store.trials(study.study, whole=True), TrialKind.SEARCH)
    writer = RetryingWriter(store, study.study, spec.claim)
    gate = CostGate(feasibility, writer=writer, seed=study.seed, callback=callback)
    sampler = _sampler(study, gate, earlier=len(trials))
    learners = Learners(sampler, gate, _early_stopping(study), _pins(study, spec))
    if learned := warm_start_sampler(study, sampler, store):
        names = ", ".join(study.search.warm_start)
        callback.log(f"the sampler has learned from {learned} trials of {names}")
    return Tuner(
        study,
        learners=learners,
        writer=writer,
        callback=callback,
        past=learners.recall(trials),
        clock=clock,
    )


def _sampler(study: Study, gate: CostGate, *, earlier: int) -> Sampler:
    return Sampler(
        study.search_space(),
        name=study.search.sampler,
        seed=study.seed,
        goal=study.goal,
        earlier=earlier,
        costs=CostSource(gate.feasibility.predict, gate.feasibility.measure),
        budget=study.budget,
        gate=gate,
    )


def _early_stopping(study: Study) -> EarlyStopping | None:
    if not study.search.stopping:
        return None
    return EarlyStopping(study.goal, study.budget.floors())


def _pins(study: Study, spec: StudyContextSpec) -> FrontierPins:
    # Studies with the same name in two stores may share a stage cache, but not an artifacts folder.
    where = hashlib.sha256(str(spec.artifacts).encode()).hexdigest()[:12]
    owner = f"{study.study}-{where}"
    return FrontierPins(owner, study.goal, spec.lineage, spec.stage_cache())
