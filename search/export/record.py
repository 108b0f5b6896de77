"""The keys that an export adds to a student's recipe.json.

An export adds three keys to the artifact's record (see `search.evaluation.artifact`):

chosen    the study, the trial, its kind, its parent, the trial that it repeats, its seed, and the
          time at which it ended
measured  cost; quality on the validation images, and test on the test images, with the value and
          the standard error of each metric; hardware; and the teacher's measurements
study     the typed settings of the study file, without `run`

Before version 0.2, retort wrote only the value of each metric, only one metric of the teacher, and
null for anything that was not measured.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import TypeAdapter

from search.config.data_settings import DataSettings
from search.config.target_settings import TargetSettings
from search.data.dataset import DataInfo
from search.errors import ArtifactError, BadInput, shortened
from search.evaluation.artifact import RECIPE, read_recipe
from search.objectives.budget import Budget, stored_budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.metrics import ACCURACY
from search.records import Cost, Quality, Scalar, StudyRecord, TeacherRecord, TrialRecord

CARD_DIGITS = 6
"""The decimal places of a metric in the head of a model card."""


@dataclass(frozen=True, kw_only=True)
class ExportedMeasurements:
    """Measurements of a student before its export.

    Attributes:
        cost: the costs of the file that its runtime serves.
        quality: the metrics on the validation images.
        test: the metrics on the test images; empty if the search did not test it.
        hardware: what latency was measured on: processor, device, threads, runtime.
        teacher: the same for its teacher; None if there was no teacher.
    """

    cost: Cost
    quality: Quality
    test: Quality
    hardware: Mapping[str, Scalar]
    teacher: TeacherRecord | None

    @classmethod
    def of(cls, study: StudyRecord, trial: TrialRecord) -> Self:
        """Return the measurements of a complete trial."""
        outcome = trial.outcome
        assert outcome is not None
        assert outcome.cost is not None
        return cls(
            cost=outcome.cost,
            quality=outcome.quality,
            test=trial.test,
            hardware=outcome.hardware,
            teacher=study.teacher,
        )

    @property
    def threads(self) -> int:
        """The number of threads that served it."""
        return int(self.hardware.get("threads", 1))

    @property
    def device(self) -> str:
        """The device that served it."""
        return str(self.hardware.get("device", "cpu"))


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """An exported student, as its recipe.json describes it.

    Attributes:
        study: the study's name.
        trial: the trial's number.
        measured: its recorded measurements.
        data: the settings that prepared its images; None if the study recorded none.
        seed: the seed that split these images into parts.
        budget: the study's budget.
        goal: the study's goal.
    """

    study: str
    trial: int
    measured: ExportedMeasurements
    data: DataSettings | None
    seed: int
    budget: Budget
    goal: Goal


_MEASURED = TypeAdapter(ExportedMeasurements)
_MOST_THREADS = 1024
_DEVICES = get_args(TargetSettings.model_fields["device"].annotation)


def write_export_record(folder: Path, study: StudyRecord, trial: TrialRecord) -> None:
    """Add the export's keys to `folder`'s recipe.json, which is a copy of the artifact's."""
    path = folder / RECIPE
    document = json.loads(path.read_text())
    document |= {
        "chosen": {
            "study": study.name,
            "trial": trial.number,
            "kind": trial.kind.value,
            "parent": trial.parent,
            "repeats": trial.repeats,
            "seed": trial.seed,
            "finished_at": trial.finished_at.isoformat() if trial.finished_at else None,
        },
        "measured": asdict(ExportedMeasurements.of(study, trial)),
        # `run` names private paths: this machine's store and folders.
        "study": {key: value for key, value in study.config.items() if key != "run"},
    }
    path.write_text(json.dumps(document, indent=1, default=str))


def read_export_record(folder: Path) -> ExportRecord:
    """Read an exported student's recipe.json.

    Raises:
        ArtifactError: the folder is damaged, or is not an export.
    """
    document = read_recipe(folder)
    try:
        chosen, config = document["chosen"], document["study"]
        return ExportRecord(
            study=str(chosen["study"]),
            trial=int(chosen["trial"]),
            measured=_measured(document["measured"]),
            data=_data(config["data"], document["data"]) if "data" in config else None,
            seed=int(config.get("seed", 0)),
            budget=stored_budget(config),
            goal=stored_goal(config),
        )
    except KeyError as error:
        raise ArtifactError(
            f"{folder} must be a folder that `retort export` wrote, but its {RECIPE} has no "
            f"{error}: export the trial again"
        ) from error
    except (
        BadInput,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = shortened(error)
        raise ArtifactError(f"{folder / RECIPE} can't be read: {reason}") from error


def _data(stored: object, info: Mapping[str, Any]) -> DataSettings:
    """Return the settings of the data; the classes have the names of the student's own record.

    The settings may name a file of these names, which an export must not open and may not find.
    """
    settings = DataSettings.model_validate(stored)
    own = DataInfo.from_json(info)
    if not own.original_classes:
        return settings.model_copy(update={"class_names": None})
    names = dict(zip(own.class_ids, own.classes, strict=True))
    return settings.model_copy(update={"class_names": names})


def _measured(values: Mapping[str, Any]) -> ExportedMeasurements:
    """Return measurements that any version wrote; check threads and device before their use."""
    teacher = values["teacher"]
    found = _MEASURED.validate_python(
        {
            **values,
            "cost": _without_unknown(values["cost"]),
            "quality": _with_errors(values["quality"]),
            "test": _with_errors(values["test"]),
            "teacher": teacher and _teacher(teacher),
        }
    )
    if not 1 <= found.threads <= _MOST_THREADS or found.device not in _DEVICES:
        raise ValueError(
            f"hardware must be up to {_MOST_THREADS} threads of {' or '.join(_DEVICES)}, "
            f"but is {found.threads} of {found.device!r}"
        )
    return found


def _teacher(values: Mapping[str, Any]) -> dict[str, Any]:
    # Before version 0.2, retort measured only one metric of the teacher, on both parts.
    older = {"quality": values.get(ACCURACY.name), "test": values.get(f"test_{ACCURACY.name}")}
    quality = {
        part: _with_errors(values.get(part, {} if value is None else {ACCURACY.name: value}))
        for part, value in older.items()
    }
    return {
        "name": values["name"],
        "digest": values["digest"],
        "cost": _without_unknown(values["cost"]),
        **quality,
    }


def _with_errors(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name: found if isinstance(found, Mapping) else {"value": found}
        for name, found in (values or {}).items()
    }


def _without_unknown(cost: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cost.items() if value is not None}
