"""The table of costs: read whole for a setting, extended row by row."""

from dataclasses import asdict, fields
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from search.records import Cost, CostSetting, Shape
from search.storage.soundness import damages
from search.storage.tables import CostRow

_KEY = [*(field.name for field in fields(CostSetting)), *(field.name for field in fields(Shape))]


def known_costs(session: Session, setting: CostSetting) -> dict[Shape, Cost]:
    query = select(CostRow).filter_by(**asdict(setting)).order_by(CostRow.id)
    return {
        Shape(student=row.student, pruning=row.pruning, quantization=row.quantization): row.cost
        for row in session.scalars(query)
        # The cost in a damaged row is measured anew; `retort db check` names the row.
        if not any(damages(CostRow.__tablename__, vars(row), study="", label=""))
    }


def keep_cost(session: Session, setting: CostSetting, shape: Shape, cost: Cost) -> None:
    """Add a row, or fill the gaps of an existing one. Two processes may do so at once."""
    key = asdict(setting) | asdict(shape)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = (sqlite.insert if is_sqlite else postgresql.insert)(CostRow)
    row = {**key, "cost": dict(cost), "measured_at": datetime.now(UTC)}
    session.execute(insert.values(**row).on_conflict_do_nothing(index_elements=_KEY))
    known = session.scalars(select(CostRow).filter_by(**key).with_for_update()).one()
    if cost.keys() - known.cost.keys():
        known.cost = {**cost, **known.cost}
