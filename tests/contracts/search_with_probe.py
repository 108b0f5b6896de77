"""A search whose target is served by the plugin `probe`, and what every command says of it.

Run as `python -m tests.contracts.search_with_probe FOLDER FILE`, where the plugin is on the path:
FILE holds the images, FOLDER takes all that is made. What was found is printed as JSON.
"""

import json
import sys
from pathlib import Path

import yaml
from typer.testing import CliRunner

from search.cli.app import app
from search.config.loader import load_study
from search.errors import BadInput
from search.pipeline.checks import check_study
from search.run import run_study
from search.storage.storage import Store
from tests.faults.without_ray import STRIPES_SPACE, TrialRecorder, one_after_another


def _study(folder: Path, file: Path) -> Path:
    values = {
        "study": "stripes",
        "data": {"source": "npz", "path": str(file), "image_size": 32, "flip": False},
        "teacher": {"model": "test_resnet", "train": {"epochs": 1, "batch_size": 16}},
        "space": {**STRIPES_SPACE, "pruning": {"magnitude": {"ratio": 0.3, "recovery": 0.0}}},
        "budget": {"latency": "1s", "target": {"runtime": "probe"}},
        "search": {"trials": 2, "views": 1, "sampler": "random", "branches": 0, "stopping": False},
        "run": {
            "parallel": 1,
            "cache": str(folder / "cache"),
            "artifacts": str(folder / "artifacts"),
            "storage": f"sqlite:///{folder / 'retort.db'}",
        },
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def _said(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def main(folder: Path, file: Path) -> None:
    """Runs the study, exports its student, and looks at that by every command."""
    path = _study(folder, file)
    study, student, store = load_study(path), folder / "student", f"sqlite:///{folder}/retort.db"
    with one_after_another(), Store.open(store) as opened:
        chosen = run_study(study, opened, TrialRecorder())
    try:
        refused = ""
        check_study(load_study(path, ["space.quantization=[float32, int8_static]"]))
    except BadInput as error:
        refused = str(error)
    assert chosen.outcome
    told = {
        "number": chosen.number,
        "hardware": dict(chosen.outcome.hardware),
        "size_bytes": (chosen.outcome.cost or {}).get("size_bytes"),
        "latency_ms": (chosen.outcome.cost or {}).get("latency_ms"),
        "int8": refused,
        "show": _said("show", "--store", store, str(chosen.number)),
        "export": _said("export", "--store", store, "-o", str(student)),
        "verify": json.loads(_said("verify", str(student), "--data", str(path), "--json")),
        "evaluate": json.loads(
            _said("evaluate", str(student), "--data", str(path), "--format", "json")
        ),
        "doctor": json.loads(_said("doctor", "--json")),
    }
    print(json.dumps(told))  # noqa: T201  the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
