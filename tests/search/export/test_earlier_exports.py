"""Folders that earlier versions exported: they load, and give what they gave."""

from pathlib import Path

import numpy as np
import pytest
import torch

from search.evaluation.artifact import load_network
from search.export import load
from search.export.record import read_export_record
from search.export.verify import verify
from search.records import Measurement

# Of each format of an artifact one student, pruned and in int8, and its floats' logits for two
# ramps; its int8 would give others on a processor that multiplies otherwise.
EARLIER = {
    "format_2": [
        [-0.433380663394928, 0.614578127861023, -0.15897062420845032],
        [-0.41002246737480164, 0.5546348094940186, -0.1591309756040573],
    ],
}
FOLDER = Path(__file__).parent / "earlier_exports"


@pytest.mark.parametrize(("name", "logits"), EARLIER.items())
def test_an_earlier_export_gives_the_logits_that_it_gave(
    name: str, logits: list[list[float]]
) -> None:
    ramps = torch.linspace(-1, 1, 2 * 32 * 32).reshape(2, 1, 32, 32)
    with torch.inference_mode():
        floats = load_network(FOLDER / name)(ramps).numpy()
        served, _, labels = load(FOLDER / name)
        assert served(ramps).shape == (2, 3)
    assert np.abs(floats - np.array(logits)).max() < 1e-4
    assert labels == ("0", "1", "2")


def test_what_an_earlier_export_was_measured_to_be_is_read() -> None:
    measured = read_export_record(FOLDER / "format_2").measured
    assert measured.quality == {
        "accuracy": Measurement(0.8888888888888888), "agreement": Measurement(0.8611111111111112)
    }  # fmt: skip
    assert measured.test["accuracy"] == Measurement(0.9722222222222222)
    assert measured.cost["size_bytes"] == 54284
    assert measured.teacher
    assert measured.teacher.test == {"accuracy": Measurement(0.75)}


@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_export_passes_every_check(name: str) -> None:
    assert [check for check in verify(FOLDER / name) if check.holds is False] == []
