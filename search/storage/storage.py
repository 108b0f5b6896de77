"""The store of all studies and trials, the single source of truth.

One process writes a study; any number of processes read. Every method is one transaction. Every
method raises `StoreError` if the database can't be reached, if it is locked for too long, or if the
study or trial does not exist.
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
    IN_SEARCH,
    Cost,
    CostSetting,
    Lease,
    Outcome,
    Purpose,
    Quality,
    Scalar,
    Shape,
    StudyState,
    TeacherRecord,
    TrialKind,
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
    storable_text,
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
    """The backup that `open` made before it upgraded the schema; None without an upgrade."""

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, patience_s: float = 30.0) -> Self:
        """Open the store at `sqlite:///file` or `postgresql+psycopg://…`.

        Args:
            url: the store's URL.
            read_only: change nothing, and create no database. Otherwise the tables are created or
                upgraded.
            patience_s: the longest wait for another process's lock, in seconds.

        Raises:
            StoreError: the database is missing, belongs to another program, has a schema of
                another version, or can't be reached.
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
        activity: str | None = None,
    ) -> None:
        """Add a running study.

        Args:
            name: a name that is not in the store yet.
            config: the whole typed study as JSON types. URLs in it are stored without secrets.
            artifacts: the folder of its artifacts.
            data_digest: the digest of the prepared data.
            lease: the process that runs it.
            activity: what its run does first.
        """
        check_finite(config)
        now = datetime.now(UTC)
        with self._database.writing() as session:
            if session.scalar(select(StudyRow.id).where(StudyRow.name == name)) is not None:
                raise StoreError(
                    f"the study {name} exists already in {self._database.place}: continue it with "
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
                    activity=activity,
                )
            )
        if lease is not None:
            self._tokens[name] = lease.token

    def renew_study(self, study: str, *, config: Mapping[str, object], artifacts: str) -> None:
        """Replace the configuration and the artifacts folder of a study that has no trial yet."""
        check_finite(config)
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.config, row.artifacts = _storable_config(config), artifacts

    def begin_run(self, study: str, *, activity: str) -> None:
        """Set a study to running; `activity` is what its run does first."""
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.state = StudyState.RUNNING.value
            row.activity, row.failure = activity, None

    def record_data(
        self, study: str, *, config: Mapping[str, object], data_digest: str | None
    ) -> None:
        """Store the configuration and the data digest with which trials will run."""
        check_finite(config)
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.config, row.data_digest = _storable_config(config), data_digest

    def record_views(
        self, study: str, *, views: int | None = None, final_views: int | None = None
    ) -> None:
        """Store the number of views of the search, or of its finalists; None changes nothing."""
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.views = row.views if views is None else views
            row.final_views = row.final_views if final_views is None else final_views

    def set_study_state(self, study: str, state: StudyState, *, failure: str | None = None) -> None:
        """Store the state in which a run ends, and why it failed."""
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.state = state.value
            row.failure = None if failure is None else storable_text(failure)

    def record_teacher(self, study: str, teacher: TeacherRecord) -> None:
        """Store the study's teacher; it replaces an earlier record."""
        check_finite(asdict(teacher))
        check_measured(teacher.quality, teacher.cost)
        check_measured(teacher.test, {})
        with self._database.writing() as session:
            row = self._changing(session, study)
            row.teacher = None
            session.flush()
            row.teacher = teacher_row(teacher)

    def start_trial(
        self,
        study: str,
        *,
        params: Mapping[str, Scalar],
        seed: int,
        key: str | None = None,
        purpose: Purpose = IN_SEARCH,
    ) -> int:
        """Add a running trial and return its number; the trial is durable at the return.

        Args:
            study: the study's name.
            params: the recipe, flat.
            seed: the seed of weights, order and dropout.
            key: identifies this request, so that a repeated request adds no second trial.
            purpose: whether the search proposed the recipe, or which trial's recipe is repeated.
        """
        check_finite(params)
        with self._database.writing() as session:
            owner = self._changing(session, study)
            row = keyed_trial(session, owner, key) or new_trial(
                session, owner, params=params, seed=seed, key=key, purpose=purpose
            )
            return row.number

    def restart_trial(self, study: str, number: int, *, params: Mapping[str, Scalar]) -> None:
        """Set a trial to running again, after an interruption or the death of its process."""
        check_finite(params)
        with self._database.writing() as session:
            row = find_trial(session, self._changing(session, study), number)
            if row.state not in (TrialState.RUNNING, TrialState.INTERRUPTED):
                raise StoreError(
                    f"only a running or interrupted trial can be run again, but trial {number} of "
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
        """Add a rejected trial and return its number; for `key` see `start_trial`."""
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

        The same outcome may be passed again, for example after a lost answer, or with further
        branches. A different outcome is refused, but any outcome may replace an interruption.
        """
        branches = [replace(one, outcome=storable(one.outcome)) for one in outcome.branches]
        with self._database.writing() as session:
            owner = self._changing(session, study)
            row = find_trial(session, owner, number, whole=True)
            outcome = storable(replace(outcome, branches=()), kind=TrialKind(row.kind))
            known = trial_record(row, study=study, whole=True).outcome
            if known is None or known.state is TrialState.INTERRUPTED:
                put_outcome(row, outcome)
                row.finished_at = datetime.now(UTC)
            elif known != outcome:
                raise StoreError(
                    f"a trial that ended must keep its outcome, but trial {number} of {study} "
                    f"ended as {known.state} and now got another outcome ({outcome.state})"
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
        """Store a measured cost. A stored value is never replaced; missing costs are added."""
        check_finite(cost)
        check_measured({}, cost)
        with self._database.writing() as session:
            keep_cost(session, setting, shape, cost)


def _storable_config(config: Mapping[str, object]) -> dict[str, object]:
    return {key: without_secrets(value) for key, value in config.items()}
