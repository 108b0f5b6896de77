"""The finalists of a study: after the search, its best recipes are trained to the end."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from search.analysis.finals import of_kind
from search.analysis.pareto import cost_of, fits, quality_of
from search.analysis.ranking import Ranking
from search.config.final_settings import FinalSettings
from search.config.study import Study
from search.pipeline.final_context import final_context, refit_context
from search.pipeline.study_context import StudyContextSpec
from search.pipeline.view_numbers import repetition_warning
from search.progress import Callback
from search.ray_backend.signals import ending_when_asked
from search.ray_backend.trials import run_finals
from search.records import TrialKind, TrialRecord
from search.storage.leases import Heartbeat
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.teachers.prepared import Teacher
from search.tuner.finalists import Finalist, choose_finalists, left_to_train, refit_finalist
from search.tuner.finals import FinalTuner
from search.tuner.learners import recipe_of
from search.tuner.view_count import count_final_views, most_taught_epochs


@dataclass(frozen=True, kw_only=True)
class FinalRound:
    """The training of a study's finalists, and of the refit of the best one.

    Attributes:
        study: the study; its search has ended.
        settings: its section `final`.
        store: the store that contains it.
        callback: receives the events.
        heartbeat: the heartbeat of this process.
        ray: keeps Ray running.
        allow_code: whether a teacher's factory may run its code.
    """

    study: Study
    settings: FinalSettings
    store: Store
    callback: Callback
    heartbeat: Heartbeat
    ray: ExitStack
    allow_code: bool

    def run(self, spec: StudyContextSpec) -> None:
        """Train the finalists that no earlier run trained, and refit the best of all.

        Finalists are chosen anew in each run, since the search may have found better recipes. Those
        of earlier runs stay.

        Args:
            spec: the context of the search.

        Raises:
            Interrupted, StoreError, DiskError, RayUnavailable: as in `run_trials`.
            TeacherError: for a refit, the teacher can't be loaded any more.
        """
        name = self.study.study
        finalists = choose_finalists(self.study, self.store.trials(name))
        if not finalists:
            self.callback.log("no student of the search fits the budget: there are no finalists")
            return
        self._note_floors(finalists)
        count = partial(self._count_views, finalists, spec)
        spec = self._context(partial(final_context, count_views=count), spec)
        self.store.record_views(name, final_views=spec.views.count)
        self._warn_of_repetitions(finalists, spec)
        text = "1 finalist" if len(finalists) == 1 else f"{len(finalists)} finalists"
        self._train(finalists, spec, f"training {text}")
        if left_to_train(finalists, self.store.trials(name)):
            return  # final.max_time is used up
        student = self._best()
        if student is None:
            self.callback.note(
                "no finalist ended with a student within the budget, so the best student of the "
                f"search is chosen: `retort trials --study {name} --kind final` shows the reasons"
            )
        elif self.settings.refit:
            self._refit(student, spec)

    def _count_views(
        self, finalists: Sequence[Finalist], spec: StudyContextSpec, teacher: Teacher
    ) -> int:
        """Return the number of views of the finalists.

        That of an earlier run stays, unless its finalists had fewer epochs: another number would
        change what students see of which an earlier run trained a part.
        """
        name, recipes = self.study.study, [finalist.recipe for finalist in finalists]
        earlier, known = self.store.study(name).final_views, spec.views.count
        assert known is not None
        if earlier is not None:
            made = map(recipe_of, of_kind(self.store.trials(name), TrialKind.FINAL))
            if most_taught_epochs(recipes) <= most_taught_epochs(made):
                return earlier
            known = max(earlier, known)
        return count_final_views(
            self.study, recipes, teacher, spec.open_prepared(), known=known, log=self.callback.log
        )

    def _note_floors(self, finalists: Sequence[Finalist]) -> None:
        """Report the finalists whose students of the search break a floor of the budget."""
        trials, budget = self.store.trials(self.study.study), self.study.budget
        sources = dict.fromkeys(finalist.purpose.repeats for finalist in finalists)
        for source in [trial for trial in trials if trial.number in sources]:
            if not fits(source, budget):
                self.callback.note(
                    f"trial {source.number} is a finalist because too few students meet the "
                    f"floors: {budget.explain(cost_of(source), quality_of(source))}"
                )

    def _warn_of_repetitions(self, finalists: Sequence[Finalist], spec: StudyContextSpec) -> None:
        epochs = most_taught_epochs(finalist.recipe for finalist in finalists)
        warning = repetition_warning(self.study, spec.views.count, epochs=epochs, whose="finalists")
        if warning:
            self.callback.note(f"warning: {warning}")

    def _refit(self, student: TrialRecord, spec: StudyContextSpec) -> None:
        refit = (refit_finalist(student),)
        if left_to_train(refit, self.store.trials(self.study.study)):
            spec = self._context(refit_context, spec)
            self._train(refit, spec, f"refitting trial {student.number}")

    def _train(self, finalists: Sequence[Finalist], spec: StudyContextSpec, activity: str) -> None:
        """Train those of the finalists that no earlier run finished."""
        name = self.study.study
        left = left_to_train(finalists, self.store.trials(name))
        if not left:
            return
        self.heartbeat.activity = activity
        self.callback.log(activity)
        tuner = FinalTuner(
            left,
            writer=RetryingWriter(self.store, name, spec.claim),
            callback=self.callback,
            retries=self.study.run.retries,
            clock=self.heartbeat.finals_clock,
            max_time=self.settings.max_time,
        )
        run_finals(tuner, self.study, spec, self.callback, self.heartbeat, self.ray)

    def _context(
        self, make: Callable[..., StudyContextSpec], spec: StudyContextSpec
    ) -> StudyContextSpec:
        """Return the context of the finalists or of the refit; `retort stop` ends its making."""

        def step(text: str) -> None:
            self.heartbeat.activity = text
            self.callback.on_step(text)

        with ending_when_asked(self.heartbeat):
            return make(spec, self.study, self.callback, allow_code=self.allow_code, step=step)

    def _best(self) -> TrialRecord | None:
        """Return the best finalist; None if no finalist has a student within the budget."""
        study = self.study
        student = Ranking(self.store.trials(study.study), study.goal).best(study.budget)
        return student if student is not None and student.kind is TrialKind.FINAL else None
