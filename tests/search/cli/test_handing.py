import json
from pathlib import Path

import pytest

from search.errors import BadInput, NoStudentFits
from tests.search.cli.conftest import AddStudy, Retort
from tests.search.cli.made_outcomes import COMPLETE, FAILED
from tests.search.conftest import Finished


def test_export_writes_the_best_student_by_default(
    retort: Retort, finished: Finished, home: Path
) -> None:
    finished()
    told = json.loads(retort("export", "-o", "out", "--json").stdout)
    assert told == {"study": "stripes", "trial": 0, "folder": "out"}
    assert (home / "out/model.onnx").is_file()


def test_export_shows_a_bracketed_folder_literally(retort: Retort, finished: Finished) -> None:
    finished()
    assert "is in [red]x" in retort("export", "0", "-o", "[red]x").stdout


def test_export_of_a_failed_trial_writes_nothing(
    retort: Retort, add_study: AddStudy, home: Path
) -> None:
    add_study(COMPLETE, FAILED)
    with pytest.raises(BadInput, match="only a complete trial has a student, but trial 1"):
        retort("export", "1", "-o", "out")
    assert not (home / "out").exists()


def test_export_without_any_student_says_that_none_fits(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(FAILED)
    with pytest.raises(NoStudentFits, match="none of 1 trials ended with a student"):
        retort("export", "-o", "out")
