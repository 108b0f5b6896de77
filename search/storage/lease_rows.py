"""The lease of a study: a row that lets only one process run the study at a time."""

from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from search.errors import StudyHeld
from search.records import Lease, TrialState
from search.storage.connection import Database
from search.storage.queries import changing, find_study, mark_changed
from search.storage.reader import StudyReader
from search.storage.rows import hold_row, study_record
from search.storage.tables import LeaseRow, StudyRow, TrialRow


class LeasedStore(StudyReader):
    """A store with leases. A process that has lost its lease can't write to the study."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._tokens: dict[str, str] = {}

    def hold(self, study: str, lease: Lease, *, in_place_of: Lease | None = None) -> None:
        """Store `lease` as the lease of the study.

        Args:
            study: the study's name.
            lease: the new holder.
            in_place_of: the old holder, which has died.

        Raises:
            StudyHeld: another process runs it.
        """
        with self._database.writing() as session:
            row = changing(session, study)
            known = study_record(row).lease
            if known and (in_place_of is None or known.token != in_place_of.token):
                raise StudyHeld(held_message(study, known))
            row.hold = None
            session.flush()
            row.hold = hold_row(lease)
        self._tokens[study] = lease.token

    def beat(
        self, study: str, *, elapsed_s: float, finals_s: float = 0.0, activity: str | None = None
    ) -> bool:
        """Record a heartbeat and the time of search and finals; return whether the study must stop.

        Only a changed activity updates the study's time of change.

        Raises:
            StudyHeld: this process no longer holds the study.
        """
        with self._database.writing() as session:
            row = self._own_hold(session, study)
            row.beats += 1
            _keep_elapsed(session, row, elapsed_s, finals_s)
            owner = find_study(session, study)
            if owner.activity != activity:
                owner.activity = activity
                mark_changed(owner)
            return row.stopping

    def release(self, study: str, *, elapsed_s: float, finals_s: float = 0.0) -> None:
        """Release the study, unless another process holds it now."""
        with self._database.writing() as session:
            try:
                row = self._own_hold(session, study)
            except StudyHeld:
                return
            _keep_elapsed(session, row, elapsed_s, finals_s)
            find_study(session, study).activity = None
            session.delete(row)
        del self._tokens[study]

    def claim(self, study: str, *, before: str | None) -> None:
        """Record that this process's lease will claim the study's artifacts folder.

        Args:
            study: a study that this process holds.
            before: the token of the lease that claimed the folder before. It stays valid until
                the folder records the new one, since the process may die in between.
        """
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.claim, row.claim_before = self._tokens[study], before

    def ask_to_stop(self, study: str) -> Lease | None:
        """Request the study's process to stop after its running trials.

        Returns:
            The process; None if no process runs the study.
        """
        with self._database.writing() as session:
            row = changing(session, study)
            if row.hold is None:
                return None
            row.hold.stopping = True
            return study_record(row).lease

    def interrupt_running(self, study: str) -> int:
        """End all running trials as interrupted, and return their number."""
        with self._database.writing() as session:
            row = self._changing(session, study)
            ended = session.execute(
                update(TrialRow)
                .where(TrialRow.study_id == row.id, TrialRow.state == TrialState.RUNNING.value)
                .values(state=TrialState.INTERRUPTED.value, finished_at=datetime.now(UTC))
                .returning(TrialRow.id)
            ).all()
        return len(ended)

    def _changing(self, session: Session, study: str) -> StudyRow:
        """Return the study's row to change.

        Raises:
            StudyHeld: this process held the study, but another has taken it over.
        """
        row = changing(session, study)
        self._check_hold(row)
        return row

    def _check_hold(self, row: StudyRow) -> None:
        token = self._tokens.get(row.name)
        if token is not None and (row.hold is None or row.hold.token != token):
            by = study_record(row).lease
            raise StudyHeld(
                f"{row.name} was taken over by {by or 'another process'} while this process could "
                "not reach the store: this run ends; no recorded trial is lost"
            )

    def _own_hold(self, session: Session, study: str) -> LeaseRow:
        row = find_study(session, study, lock=True)
        self._check_hold(row)
        if row.hold is None:
            raise StudyHeld(f"{study} must have a lease while it runs, but no process holds one")
        return row.hold


def held_message(study: str, lease: Lease) -> str:
    return (
        f"{study} is being run by {lease}: wait for its end, or end it with `retort stop {study}`"
    )


def _keep_elapsed(session: Session, row: LeaseRow, elapsed_s: float, finals_s: float) -> None:
    # Neither time must ever decrease; a run that has just started reports 0.
    own = StudyRow.id == row.study_id
    known = session.execute(select(StudyRow.elapsed_s, StudyRow.finals_s).where(own)).one()
    times = {
        "elapsed_s": max(known.elapsed_s or 0.0, elapsed_s),
        "finals_s": max(known.finals_s or 0.0, finals_s),
    }
    session.execute(update(StudyRow).where(own).values(**times))
