"""A search for a plugin's metric and limit by a plugin's method, and what is shown of it.

Run as `python -m tests.contracts.search_with_added FOLDER FILE`, where the plugin is on the path:
FILE holds the images, FOLDER takes all that is made. What was found is printed as JSON.
"""

import json
import os
import sys
from pathlib import Path

import yaml
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from search.cli.app import app
from search.config.loader import load_study
from search.run import run_study
from search.storage.storage import Store
from tests.faults.without_ray import STRIPES_SPACE, TrialRecorder, one_after_another

_APP = Path(__file__).parents[2] / "dashboard" / "app.py"


def _study(folder: Path, file: Path) -> Path:
    values = {
        "study": "stripes",
        "data": {"source": "npz", "path": str(file), "image_size": 32, "flip": False},
        "teacher": {"model": "test_resnet", "train": {"epochs": 1, "batch_size": 16}},
        "space": {**STRIPES_SPACE, "distillation": ["logits"]},
        "budget": {"layers": 500},
        "search": {
            "objective": "calibration_error", "minimize": ["layers", "size", "macs"],
            "trials": 3, "views": 1, "sampler": "gp", "branches": 0,
        },
        "run": {
            "parallel": 1,
            "cache": str(folder / "cache"),
            "artifacts": str(folder / "artifacts"),
            "storage": f"sqlite:///{folder / 'retort.db'}",
        },
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def _said(*arguments: str) -> str:
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def _refused(*arguments: str) -> str:
    return str(CliRunner().invoke(app, arguments).exception)


def _page(name: str) -> dict[str, list[str]]:
    page = AppTest.from_file(str(_APP), default_timeout=600)
    page.switch_page(f"views/{name}.py")
    page.run()
    assert not page.exception, page.exception
    return {
        "metrics": [element.label for element in page.metric],
        "sliders": [element.label for element in (*page.slider, *page.select_slider)],
        "texts": [str(element.value) for element in (*page.markdown, *page.caption)],
    }


def main(folder: Path, file: Path) -> None:
    """Runs the study, exports its student, and looks at it by commands and pages."""
    path = _study(folder, file)
    student, store = folder / "student", f"sqlite:///{folder}/retort.db"
    with one_after_another(), Store.open(store) as opened:
        chosen = run_study(load_study(path), opened, TrialRecorder())
    os.environ["RETORT_STORE"] = store
    told = {
        "number": chosen.number,
        "metrics": json.loads(_said("metrics", "--json")),
        "limits": json.loads(_said("limits", "--json")),
        "methods": json.loads(_said("methods", "distillation", "--json")),
        "plan": _said("plan", str(path)),
        "trials": json.loads(_said("trials", "--format", "json")),
        "table": _said("trials"),
        "best": _said("best"),
        "tight": _refused("best", "--max", "layers=1"),
        "export": _said("export", "-o", str(student)),
        "verify": json.loads(_said("verify", str(student), "--data", str(path), "--json")),
        "report": _said("report", "-o", str(folder / "report.html")),
        "frontier": _page("frontier"),
        "influence": _page("influence"),
    }
    print(json.dumps(told))  # noqa: T201  the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
