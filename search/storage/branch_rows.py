"""Rows of branches: trials that start from the student of another trial, their parent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.records import Branch
from search.storage.queries import new_trial
from search.storage.rows import check_finite, put_outcome
from search.storage.tables import StudyRow, TrialRow


def keep_branches(
    session: Session, study: StudyRow, parent: TrialRow, branches: Sequence[Branch]
) -> list[int]:
    """Add the branches that are not stored yet, and return the numbers of all branches."""
    own = TrialRow.study_id == study.id, TrialRow.parent == parent.number
    stored = session.execute(select(TrialRow.number, TrialRow.params).where(*own)).all()
    return [
        next((number for number, params in stored if params == branch.params), None)
        or _added(session, study, parent, branch)
        for branch in branches
    ]


def _added(session: Session, study: StudyRow, parent: TrialRow, branch: Branch) -> int:
    check_finite(branch.params)
    row = new_trial(session, study, params=branch.params, seed=parent.seed, parent=parent.number)
    row.finished_at = datetime.now(UTC)
    row.started_at = row.finished_at - timedelta(seconds=branch.outcome.duration_s)
    put_outcome(row, branch.outcome)
    session.flush()
    return row.number
