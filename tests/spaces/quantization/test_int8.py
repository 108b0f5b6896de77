"""What the quantizer says, and what it leaves alone."""

import pytest
from onnxruntime.quantization import calibrate

from spaces.quantization.ptq.int8 import quietly


def test_the_quantizer_is_silent_and_others_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    with quietly():
        vars(calibrate)["print"]("Collecting tensor data and making histogram ...")
        print("stopping: running trials end first")  # noqa: T201
    assert capsys.readouterr().out == "stopping: running trials end first\n"
    assert "print" not in vars(calibrate)
