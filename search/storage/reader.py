"""What a store can be asked: studies, trials and costs, as records."""

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
"""When a study changed whose row is damaged there; reading it says so."""


class StudyReader:
    """An open database, asked in this project's words; each question sees one state of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def patience_s(self) -> float:
        """How long it waits for another process's lock."""
        return self._database.patience_s

    @property
    def file(self) -> Path | None:
        """The file it is kept in; None for a server's database."""
        return self._database.file

    @property
    def place(self) -> str:
        """Its URL as it may be shown."""
        return self._database.place

    def schema(self) -> str | None:
        """The revision of its schema."""
        return revision_of(self._database)

    def back_up(self, destination: Path | None = None) -> Path:
        """Copies all of it into a file, which is a store itself; gives its path.

        Args:
            destination: by default a name of its own, beside the store's file.
        """
        revision = self.schema() or SCHEMA
        path = destination or backup_path(self._database, revision)
        return back_up(self._database, path, revision=revision)

    def integrity_problems(self) -> list[str]:
        """What the database itself finds wrong."""
        return sqlite_problems(self._database)

    def damages(self) -> list[Damage]:
        """All that is wrong with its rows, whatever studies they belong to."""
        with self._database.reading() as session:
            return all_damages(session)

    def names(self) -> list[str]:
        """The names of all studies, in the order in which they were created."""
        with self._database.reading() as session:
            return study_names(session)

    def studies(self) -> list[StudyRecord | DamagedRow]:
        """All studies, in the order in which they were created; of a damaged one, what is wrong."""
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
        """The study that was written to last."""
        newest = select(StudyRow).order_by(StudyRow.changed_at.desc(), StudyRow.id.desc()).limit(1)
        with self._database.reading() as session:
            row = session.scalar(newest)
            if row is None:
                raise StoreError(
                    f"the store {self._database.place} holds no study yet: start one with "
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
        """The study's trials by number; unless `whole`, without stages, epochs and tracebacks.

        Args:
            study: its name.
            states: only trials in one of these.
            numbers: only these trials; one that is not there is left out.
            whole: with all that is known of them.
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
        """The study's trials by number, as `trials`, without those whose rows are damaged."""
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
        """The numbers of the study's trials that fit, ascending.

        Args:
            study: its name.
            states: only trials in one of these.
            methods: of each of them, one parameter of the trial must have one of its texts.
        """
        with self._database.reading() as session:
            row = find_study(session, study)
            wanted = trials_matching(row, states=states, methods=methods)
            query = select(TrialRow.number).where(*wanted).order_by(TrialRow.number)
            return list(session.scalars(query))

    def trial(self, study: str, number: int) -> TrialRecord:
        """One trial, with all that is known of it."""
        with self._database.reading() as session:
            row = find_trial(session, find_study(session, study), number, whole=True)
            return trial_record(row, study=study, whole=True)

    def pulse(self, study: str) -> tuple[int, datetime]:
        """How many trials there are, and when the newest change was: what a live view polls.

        Every change moves the time on, even where the clock was set back.
        """
        with self._database.reading() as session:
            row = find_study(session, study)
            count = select(func.count()).where(TrialRow.study_id == row.id)
            return session.scalar(count) or 0, row.changed_at

    def pulses(self) -> dict[str, tuple[int, datetime]]:
        """The pulse of every study, that of the one that changed last first."""
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
        """How far the study has come."""
        open_states = TrialState.RUNNING.value, TrialState.INTERRUPTED.value
        ended = func.count().filter(TrialRow.state.not_in(open_states))
        with self._database.reading() as session:
            row = find_study(session, study)
            counts = select(func.count(), ended).where(TrialRow.study_id == row.id)
            trials, ended_trials = session.execute(counts).one()
            return StudyExtent(trials=trials, ended=ended_trials)

    def training_done(self, study: str) -> dict[int, TrainingDone]:
        """Of each trial that trained a student or took one over: for how long, and whose."""
        with self._database.reading() as session:
            return training_done(session, find_study(session, study))

    def tallies(self) -> dict[str, dict[TrialState, Tally]]:
        """How many trials of each study ended in each state, and how long they took.

        Trials in a state that there is not are left out: reading them says so.
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
        """What was measured there of untrained students, by any study."""
        with self._database.reading() as session:
            return known_costs(session, setting)
