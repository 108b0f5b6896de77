"""The store: every study and trial, the single source of truth.

One process writes, any number read. Each method is one transaction. All raise `StoreError` where
the database can't be reached, is locked for too long, or has no such study or trial.
"""

import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import select

from search.errors import StoreError
from search.records import (
    Cost,
    CostSetting,
    Lease,
    Outcome,
    Quality,
    Scalar,
    Shape,
    StudyState,
    TeacherRecord,
    TrialState,
)
from search.storage.branch_rows import keep_branches
from search.storage.connection import Database
from search.storage.cost_rows import keep_cost
from search.storage.lease_rows import LeasedStore
from search.storage.queries import (
    find_trial,
    keyed_trial,
    new_trial,
)
from search.storage.rows import (
    check_finite,
    check_measured,
    hold_row,
    put_outcome,
    quality_values,
    storable,
    teacher_row,
    trial_record,
)
from search.storage.schema import check_ownership, check_schema, upgrade_schema
from search.storage.store_url import safe_url, without_secrets
from search.storage.tables import StudyRow

__all__ = ["Store", "safe_url"]


class Store(LeasedStore):
    """An open store; a context manager. Threads may share it."""

    backup: Path | None = None
    """The copy that was made before an upgrade of the schema on opening, if there was one."""

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, patience_s: float = 30.0) -> Self:
        """Open the store at `sqlite:///file` or `postgresql+psycopg://…`.

        Args:
            url: the store's URL.
            read_only: change nothing, and create no database; otherwise the tables are created or
                upgraded.
            patience_s: how long to wait for another process's lock, in seconds.

        Raises:
            StoreError: it is missing, another program's, of another version, or out of reach.
        """
        with closing(Database(url, read_only=True, patience_s=patience_s)) as reader:
            check_schema(reader) if read_only else check_ownership(reader)
        database = Database(url, read_only=read_only, patience_s=patience_s)
        store = cls(database)
        try:
            if not read_only:
                store.backup = upgrade_schema(database)
        except StoreError:
            database.close()
            raise
        return store

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

    def create_study(
        self,
        name: str,
        *,
        config: Mapping[str, object],
        artifacts: str,
        data_digest: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Add a running study.

        Args:
            name: a name that is not in the store yet.
            config: the whole typed study as JSON types; URLs in it are stored without secrets.
            artifacts: the folder of its artifacts.
            data_digest: the digest of the prepared data.
            lease: the process that runs it.
        """
        check_finite(config)
        now = datetime.now(UTC)
        with self._database.writing() as session:
            if session.scalar(select(StudyRow.id).where(StudyRow.name == name)) is not None:
                raise StoreError(
                    f"the study {name} exists already in {self._database.place}: go on with it by "
                    f"`retort resume {name}`, or give the new one another name, such as "
                    f"study={name}-2"
                )
            session.add(
                StudyRow(
                    name=name,
                    state=StudyState.RUNNING.value,
                    config=_storable_config(config),
                    artifacts=artifacts,
                    created_at=now,
                    changed_at=now,
                    data_digest=data_digest,
                    elapsed_s=0.0,
                    identity=uuid.uuid4().hex,
                    claim=None if lease is None else lease.token,
                    hold=None if lease is None else hold_row(lease),
                )
            )
        if lease is not None:
            self._tokens[name] = lease.token

    def reopen_study(
        self, study: str, *, config: Mapping[str, object], data_digest: str | None
    ) -> None:
        """Set a study to running again, with a new configuration and digest of its data."""
        check_finite(config)
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.state = StudyState.RUNNING.value
            row.config = _storable_config(config)
            row.data_digest = data_digest

    def set_study_state(self, study: str, state: StudyState) -> None:
        with self._database.writing() as session:
            self._changing(session, study).state = state.value

    def record_teacher(self, study: str, teacher: TeacherRecord) -> None:
        """Store the study's teacher, in place of an earlier record of it."""
        check_finite(asdict(teacher))
        check_measured(teacher.quality, teacher.cost)
        check_measured(teacher.test, {})
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.teacher = None
            session.flush()
            row.teacher = teacher_row(teacher)

    def start_trial(
        self, study: str, *, params: Mapping[str, Scalar], seed: int, key: str | None = None
    ) -> int:
        """Add a running trial; it is stored durably when this returns its number.

        Args:
            study: the study's name.
            params: the recipe, flat.
            seed: the seed of weights, order and dropout.
            key: identifies this request, so that it can be repeated where the answer was lost.
        """
        check_finite(params)
        with self._database.writing() as session:
            owner = self._changing(session, study)
            row = keyed_trial(session, owner, key) or new_trial(
                session, owner, params=params, seed=seed, key=key
            )
            return row.number

    def restart_trial(self, study: str, number: int, *, params: Mapping[str, Scalar]) -> None:
        """Set a trial that was interrupted, or whose process died, to running once more."""
        check_finite(params)
        with self._database.writing() as session:
            row = find_trial(session, self._changing(session, study), number)
            if row.state not in (TrialState.RUNNING, TrialState.INTERRUPTED):
                raise StoreError(
                    f"only a trial without an outcome can be run again, but trial {number} of "
                    f"{study} is {row.state}"
                )
            row.state, row.finished_at = TrialState.RUNNING.value, None
            row.params = dict(params)
            row.attempts += 1

    def record_rejected(
        self,
        study: str,
        *,
        params: Mapping[str, Scalar],
        seed: int,
        outcome: Outcome,
        key: str | None = None,
    ) -> int:
        """Add a trial that ended before it began; return its number. `key` as for `start_trial`."""
        check_finite(params)
        outcome = storable(outcome)
        with self._database.writing() as session:
            owner = self._changing(session, study)
            if known := keyed_trial(session, owner, key):
                return known.number
            row = new_trial(session, owner, params=params, seed=seed, key=key)
            row.finished_at = row.started_at
            put_outcome(row, outcome)
            return row.number

    def finish_trial(self, study: str, number: int, outcome: Outcome) -> list[int]:
        """End a trial and add its branches, in one transaction; return the branches' numbers.

        The same outcome may be given again, as after a commit whose answer was lost, or with
        branches that have ended since; a different one is refused. An interruption is no outcome:
        one that comes late replaces it.
        """
        branches = [replace(one, outcome=storable(one.outcome)) for one in outcome.branches]
        outcome = storable(replace(outcome, branches=()))
        with self._database.writing() as session:
            owner = self._changing(session, study)
            row = find_trial(session, owner, number, whole=True)
            known = trial_record(row, study=study, whole=True).outcome
            if known is None or known.state is TrialState.INTERRUPTED:
                put_outcome(row, outcome)
                row.finished_at = datetime.now(UTC)
            elif known != outcome:
                raise StoreError(
                    f"trial {number} of {study} ended already as {known.state}, and can't end "
                    f"again with another outcome ({outcome.state})"
                )
            return keep_branches(session, owner, row, branches)

    def record_test(self, study: str, number: int, quality: Quality) -> None:
        """Store the quality of a complete trial's artifact on the test images."""
        check_finite(quality_values(quality) or {})
        check_measured(quality, {})
        with self._database.writing() as session:
            row = find_trial(session, self._changing(session, study), number)
            if row.state != TrialState.COMPLETE:
                raise StoreError(
                    f"only a complete trial can be tested, but trial {number} of {study} is "
                    f"{row.state}"
                )
            row.test = quality_values(quality)

    def keep_cost(self, setting: CostSetting, shape: Shape, cost: Cost) -> None:
        """Store what was measured; the first measurement stays, and may gain costs later."""
        check_finite(cost)
        check_measured({}, cost)
        with self._database.writing() as session:
            keep_cost(session, setting, shape, cost)


def _storable_config(config: Mapping[str, object]) -> dict[str, object]:
    return {key: without_secrets(value) for key, value in config.items()}
