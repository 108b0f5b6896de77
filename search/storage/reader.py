"""Queries of a store: studies, trials and costs, as records."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from search.errors import DamagedRow, StoreError
from search.records import (
    Cost,
    CostSetting,
    Shape,
    StudyExtent,
    StudyRecord,
    Tally,
    TrainingDone,
    TrialRecord,
    TrialState,
)
from search.storage.backup import back_up, backup_path, sqlite_problems
from search.storage.connection import Database
from search.storage.cost_rows import known_costs
from search.storage.queries import (
    find_study,
    find_trial,
    light_trials_query,
    study_names,
    training_done,
    trials_matching,
    trials_query,
)
from search.storage.row_survey import all_damages
from search.storage.rows import study_record, trial_record
from search.storage.schema import revision_of
from search.storage.soundness import Damage, Unsound, check_numbering
from search.storage.tables import SCHEMA, StudyRow, TrialRow

_UNKNOWN = datetime.min.replace(tzinfo=UTC)
"""Stands for a damaged time of change; reading the study reports the damage."""


class StudyReader:
    """An open database that returns records; each query sees one consistent state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def patience_s(self) -> float:
        """The longest wait for another process's lock, in seconds."""
        return self._database.patience_s

    @property
    def file(self) -> Path | None:
        """The store's file; None for a server's database."""
        return self._database.file

    @property
    def place(self) -> str:
        """The store's URL without secrets."""
        return self._database.place

    def schema(self) -> str | None:
        """Return the revision of the store's schema."""
        return revision_of(self._database)

    def back_up(self, destination: Path | None = None) -> Path:
        """Copy the whole store into a file, which is a store too, and return its path.

        Args:
            destination: the file; by default a new file in the folder of the store's file.
        """
        revision = self.schema() or SCHEMA
        path = destination or backup_path(self._database, revision)
        return back_up(self._database, path, revision=revision)

    def integrity_problems(self) -> list[str]:
        """Return the problems that the database's own checks find."""
        return sqlite_problems(self._database)

    def damages(self) -> list[Damage]:
        """Return the damages of all rows, of all studies."""
        with self._database.reading() as session:
            return all_damages(session)

    def names(self) -> list[str]:
        """Return the names of all studies, in the order in which they were created."""
        with self._database.reading() as session:
            return study_names(session)

    def studies(self) -> list[StudyRecord | DamagedRow]:
        """Return all studies in order of creation; for a damaged one, the error for it."""
        with self._database.reading() as session:
            return [self._sound(row) for row in session.scalars(select(StudyRow).order_by("id"))]

    def _sound(self, row: StudyRow) -> StudyRecord | DamagedRow:
        try:
            return study_record(row)
        except Unsound as unsound:
            return self._database.named(unsound)

    def study(self, name: str) -> StudyRecord:
        with self._database.reading() as session:
            return study_record(find_study(session, name))

    def latest_study(self) -> StudyRecord:
        """Return the study that was changed last."""
        newest = select(StudyRow).order_by(StudyRow.changed_at.desc(), StudyRow.id.desc()).limit(1)
        with self._database.reading() as session:
            row = session.scalar(newest)
            if row is None:
                raise StoreError(
                    f"the store {self._database.place} has no study yet: start one with "
                    "`retort run`"
                )
            return study_record(row)

    def trials(
        self,
        study: str,
        *,
        states: Collection[TrialState] | None = None,
        numbers: Collection[int] | None = None,
        whole: bool = False,
    ) -> list[TrialRecord]:
        """Return the study's trials by number.

        Args:
            study: the study's name.
            states: return only trials in one of these states.
            numbers: return only these trials; missing ones are ignored.
            whole: include stages, epochs and tracebacks.
        """
        with self._database.reading() as session:
            row = find_study(session, study)
            wanted = trials_matching(row, states=states, numbers=numbers)
            query = trials_query(row, whole=True) if whole else light_trials_query()
            query = query.where(*wanted).order_by(TrialRow.number)
            rows = session.scalars(query) if whole else session.execute(query)
            found = [trial_record(row, study=study, whole=whole) for row in rows]
            if states is None and numbers is None:
                check_numbering([trial.number for trial in found], study=study)
            return found

    def sound_trials(self, study: str) -> list[TrialRecord]:
        """Return the study's trials as `trials` does, without those with damaged rows."""
        query = light_trials_query().order_by(TrialRow.number)
        found = []
        with self._database.reading() as session:
            wanted = trials_matching(find_study(session, study), states=None)
            for row in session.execute(query.where(*wanted)):
                with suppress(Unsound):
                    found.append(trial_record(row, study=study, whole=False))
        return found

    def numbers(
        self,
        study: str,
        *,
        states: Collection[TrialState] | None = None,
        methods: Sequence[Mapping[str, Collection[str]]] = (),
    ) -> list[int]:
        """Return the numbers of the study's trials that match, ascending.

        Args:
            study: the study's name.
            states: only trials in one of these states.
            methods: conditions that must all hold. A condition maps parameters to values; it holds
                if one of the parameters has one of its values.
        """
        with self._database.reading() as session:
            row = find_study(session, study)
            wanted = trials_matching(row, states=states, methods=methods)
            query = select(TrialRow.number).where(*wanted).order_by(TrialRow.number)
            return list(session.scalars(query))

    def trial(self, study: str, number: int) -> TrialRecord:
        """Return one trial with its stages, epochs and traceback."""
        with self._database.reading() as session:
            row = find_trial(session, find_study(session, study), number, whole=True)
            return trial_record(row, study=study, whole=True)

    def pulse(self, study: str) -> tuple[int, datetime]:
        """Return the number of trials and the time of the last change, for live views to poll.

        Every change increases the time, even if the clock was set back.
        """
        with self._database.reading() as session:
            row = find_study(session, study)
            count = select(func.count()).where(TrialRow.study_id == row.id)
            return session.scalar(count) or 0, row.changed_at

    def pulses(self) -> dict[str, tuple[int, datetime]]:
        """Return the pulse of every study, the most recently changed first."""
        newest = StudyRow.changed_at.desc(), StudyRow.id.desc()
        count = func.count(TrialRow.id)
        query = select(StudyRow.name, count, StudyRow.changed_at).outerjoin(TrialRow)
        with self._database.reading() as session:
            rows = session.execute(query.group_by(StudyRow.id).order_by(*newest))
            return {
                name: (trials, changed_at if isinstance(changed_at, datetime) else _UNKNOWN)
                for name, trials, changed_at in rows
                if isinstance(name, str)
            }

    def extent(self, study: str) -> StudyExtent:
        """Return the number of all trials and of ended trials."""
        open_states = TrialState.RUNNING.value, TrialState.INTERRUPTED.value
        ended = func.count().filter(TrialRow.state.not_in(open_states))
        with self._database.reading() as session:
            row = find_study(session, study)
            counts = select(func.count(), ended).where(TrialRow.study_id == row.id)
            trials, ended_trials = session.execute(counts).one()
            return StudyExtent(trials=trials, ended=ended_trials)

    def training_done(self, study: str) -> dict[int, TrainingDone]:
        """Return the training of each trial that trained or reused a student."""
        with self._database.reading() as session:
            return training_done(session, find_study(session, study))

    def tallies(self) -> dict[str, dict[TrialState, Tally]]:
        """Return the number and the total duration of trials, by study and state.

        Trials with an unknown state are ignored; reading such a trial reports the damage.
        """
        sums = func.count(), func.sum(TrialRow.duration_s)
        query = select(StudyRow.name, TrialRow.state, *sums).join(TrialRow)
        query = query.where(TrialRow.state.in_([state.value for state in TrialState]))
        tallies: dict[str, dict[TrialState, Tally]] = {}
        with self._database.reading() as session:
            for name, state, count, seconds in session.execute(
                query.group_by(StudyRow.name, TrialRow.state)
            ):
                tally = Tally(trials=count, seconds=seconds or 0.0)
                tallies.setdefault(name, {})[TrialState(state)] = tally
        return tallies

    def costs(self, setting: CostSetting) -> dict[Shape, Cost]:
        """Return the costs of untrained students in this setting, measured by any study."""
        with self._database.reading() as session:
            return known_costs(session, setting)
