"""The table of costs."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

from search.objectives.completion import completed
from search.records import Cost, CostSetting, Shape
from search.storage.soundness import damages
from search.storage.tables import CostRow

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

_KEY = [*(field.name for field in fields(CostSetting)), *(field.name for field in fields(Shape))]


def known_costs(session: Session, setting: CostSetting) -> dict[Shape, Cost]:
    query = select(CostRow).filter_by(**asdict(setting)).order_by(CostRow.id)
    return {
        Shape(student=row.student, pruning=row.pruning, quantization=row.quantization): row.cost
        for row in session.scalars(query)
        # A damaged row is ignored, so its cost is measured again; `retort db check` names the row.
        if not any(damages(CostRow.__tablename__, vars(row), study="", label=""))
    }


def keep_cost(session: Session, setting: CostSetting, shape: Shape, cost: Cost) -> None:
    """Add a row, or complete an existing one; safe for concurrent processes."""
    key = asdict(setting) | asdict(shape)
    row = {**key, "cost": dict(cost), "measured_at": datetime.now(UTC)}
    insert = _insert(session).values(**row)
    session.execute(insert.on_conflict_do_nothing(index_elements=_KEY))
    known = session.scalars(select(CostRow).filter_by(**key).with_for_update()).one()
    if (whole := completed(known.cost, cost)) != known.cost:
        known.cost = dict(whole)


def _insert(session: Session) -> "sqlite.Insert | postgresql.Insert":
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(CostRow)
    # Its drivers take longer to import than a command that reads a SQLite file may take.
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(CostRow)
