"""The store: every study and trial, the single source of truth.

One process writes, any number read. Each method is one transaction. All raise `StoreError`
where the database can't be reached, is locked for too long, or knows no such study or trial.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy import func, select, update

from search.database.address import safe_url, without_secrets
from search.database.connection import Database
from search.database.costs import keep_cost, known_costs
from search.database.queries import (
    branch_numbers,
    changing,
    find_study,
    find_trial,
    light_trials_query,
    mark_changed,
    new_trial,
    trials_matching,
    trials_query,
)
from search.database.rows import (
    check_finite,
    put_outcome,
    storable,
    study_record,
    teacher_row,
    trial_record,
)
from search.database.schema import check_ownership, check_schema, upgrade_schema
from search.database.tables import StudyRow, TrialRow
from search.errors import StoreError
from search.records import (
    Cost,
    Outcome,
    Quality,
    Scalar,
    Setting,
    Shape,
    StudyRecord,
    StudyState,
    Tally,
    TeacherRecord,
    TrialRecord,
    TrialState,
)

__all__ = ["Store", "safe_url"]


class Store:
    """An open store; a context manager. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, patience_s: float = 30.0) -> Self:
        """Opens the store at `sqlite:///file` or `postgresql+psycopg://…`.

        Args:
            url: where it is.
            read_only: changes nothing, and creates no database; otherwise the tables are created
                or upgraded.
            patience_s: how long to wait for another process's lock, in seconds.

        Raises:
            StoreError: it is missing, another program's, of another version, or out of reach.
        """
        with closing(Database(url, read_only=True, patience_s=patience_s)) as reader:
            check_schema(reader) if read_only else check_ownership(reader)
        database = Database(url, read_only=read_only, patience_s=patience_s)
        try:
            if not read_only:
                upgrade_schema(database)
        except StoreError:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def studies(self) -> list[StudyRecord]:
        """All studies, in the order in which they were created."""
        with self._database.reading() as session:
            return [study_record(row) for row in session.scalars(select(StudyRow).order_by("id"))]

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

    def create_study(self, name: str, *, config: Mapping[str, object], artifacts: str) -> None:
        """Adds a study, running.

        Args:
            name: not in the store yet.
            config: the whole typed study as JSON types; URLs in it are stored without secrets.
            artifacts: the folder of its artifacts.
        """
        check_finite(config)
        now = datetime.now(UTC)
        with self._database.writing() as session:
            if session.scalar(select(StudyRow.id).where(StudyRow.name == name)) is not None:
                raise StoreError(
                    f"the study {name} exists already in {self._database.place}: give the new one "
                    f"another name, such as study={name}-2"
                )
            session.add(
                StudyRow(
                    name=name,
                    state=StudyState.RUNNING.value,
                    config={key: without_secrets(value) for key, value in config.items()},
                    artifacts=artifacts,
                    created_at=now,
                    changed_at=now,
                )
            )

    def set_study_state(self, study: str, state: StudyState) -> None:
        with self._database.writing() as session:
            changing(session, study).state = state.value

    def record_teacher(self, study: str, teacher: TeacherRecord) -> None:
        """Keeps the study's teacher, in place of what was kept of it before."""
        check_finite(asdict(teacher))
        with self._database.writing() as session:
            row = changing(session, study)
            row.teacher = None
            session.flush()
            row.teacher = teacher_row(teacher)

    def start_trial(self, study: str, *, params: Mapping[str, Scalar], seed: int) -> int:
        """Adds a running trial; it is in the store for good when this returns its number."""
        check_finite(params)
        with self._database.writing() as session:
            row = new_trial(session, changing(session, study), params=params, seed=seed)
            return row.number

    def record_rejected(
        self, study: str, *, params: Mapping[str, Scalar], seed: int, outcome: Outcome
    ) -> int:
        """Adds a trial that ended before it began; its number."""
        check_finite(params)
        outcome = storable(outcome)
        with self._database.writing() as session:
            row = new_trial(session, changing(session, study), params=params, seed=seed)
            row.finished_at = row.started_at
            put_outcome(row, outcome)
            return row.number

    def finish_trial(self, study: str, number: int, outcome: Outcome) -> list[int]:
        """Ends a trial and its branches, at once or not at all; gives the branches' numbers.

        The same outcome may be given twice, as after a commit whose answer was lost; another one
        is refused.
        """
        branches = [(branch.params, storable(branch.outcome)) for branch in outcome.branches]
        outcome = storable(replace(outcome, branches=()))
        with self._database.writing() as session:
            owner = find_study(session, study, lock=True)
            row = find_trial(session, owner, number, whole=True)
            known = trial_record(row, study=study, whole=True).outcome
            if known == outcome:
                return list(session.scalars(branch_numbers(owner, number)))
            if known is not None:
                raise StoreError(
                    f"trial {number} of {study} ended already as {known.state}, and can't end "
                    f"again with another outcome ({outcome.state})"
                )
            put_outcome(row, outcome)
            row.finished_at = datetime.now(UTC)
            mark_changed(owner)
            for params, found in branches:
                check_finite(params)
                branch = new_trial(session, owner, params=params, seed=row.seed, parent=number)
                branch.started_at, branch.finished_at = row.started_at, row.finished_at
                put_outcome(branch, found)
                session.flush()
            return list(session.scalars(branch_numbers(owner, number)))

    def record_test(self, study: str, number: int, quality: Quality) -> None:
        """Keeps how a complete trial's artifact did on the test images."""
        check_finite(asdict(quality))
        with self._database.writing() as session:
            row = find_trial(session, changing(session, study), number)
            if row.state != TrialState.COMPLETE:
                raise StoreError(
                    f"only a complete trial can be tested, but trial {number} of {study} is "
                    f"{row.state}"
                )
            row.test_accuracy, row.test_agreement = quality.accuracy, quality.agreement

    def interrupt_running(self, study: str) -> int:
        """Ends all running trials as interrupted, and gives their number."""
        with self._database.writing() as session:
            row = find_study(session, study, lock=True)
            ended = session.execute(
                update(TrialRow)
                .where(TrialRow.study_id == row.id, TrialRow.state == TrialState.RUNNING.value)
                .values(state=TrialState.INTERRUPTED.value, finished_at=datetime.now(UTC))
                .returning(TrialRow.id)
            ).all()
            if ended:
                mark_changed(row)
        return len(ended)

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
            return [trial_record(row, study=study, whole=whole) for row in rows]

    def numbers(
        self,
        study: str,
        *,
        states: Collection[TrialState] | None = None,
        choices: Sequence[Mapping[str, Collection[str]]] = (),
    ) -> list[int]:
        """The numbers of the study's trials that fit, ascending.

        Args:
            study: its name.
            states: only trials in one of these.
            choices: of each of them, one parameter of the trial must have one of its texts.
        """
        with self._database.reading() as session:
            row = find_study(session, study)
            wanted = trials_matching(row, states=states, choices=choices)
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
            return {name: (trials, changed_at) for name, trials, changed_at in rows}

    def tallies(self) -> dict[str, dict[TrialState, Tally]]:
        """How many trials of each study ended in each state, and how long they took."""
        sums = func.count(), func.sum(TrialRow.duration_s)
        query = select(StudyRow.name, TrialRow.state, *sums).join(TrialRow)
        tallies: dict[str, dict[TrialState, Tally]] = {}
        with self._database.reading() as session:
            for name, state, count, seconds in session.execute(
                query.group_by(StudyRow.name, TrialRow.state)
            ):
                tally = Tally(trials=count, seconds=seconds or 0.0)
                tallies.setdefault(name, {})[TrialState(state)] = tally
        return tallies

    def costs(self, setting: Setting) -> dict[Shape, Cost]:
        """What was measured there of untrained students, by any study."""
        with self._database.reading() as session:
            return known_costs(session, setting)

    def keep_cost(self, setting: Setting, shape: Shape, cost: Cost) -> None:
        """Keeps what was measured; the first measurement stays, and may gain its latency later."""
        check_finite(asdict(cost))
        with self._database.writing() as session:
            keep_cost(session, setting, shape, cost)
