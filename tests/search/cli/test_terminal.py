"""Text that others wrote is shown as it is."""

import pytest

from search.cli.terminal import complain, say


def test_no_line_number_becomes_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    say("study.yaml:100:3: a class :cat:")
    complain("study.yaml:100:3: a typo")
    told = capsys.readouterr()
    assert told.out == "study.yaml:100:3: a class :cat:\n"
    assert told.err.endswith("study.yaml:100:3: a typo\n")
