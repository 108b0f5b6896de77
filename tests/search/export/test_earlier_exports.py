"""Folders that earlier versions exported: they load, and give what they gave."""

from pathlib import Path

import numpy as np
import pytest
import torch

from search.export import load
from search.export.verify import verify

# Of each format of an artifact one student, pruned and in int8, and its logits for two ramps.
EARLIER = {
    "format_2": [
        [-0.42446842789649963, 0.6057518124580383, -0.14591102302074432],
        [-0.40678223967552185, 0.552693247795105, -0.15475411713123322],
    ],
}
FOLDER = Path(__file__).parent / "earlier_exports"


@pytest.mark.parametrize(("name", "logits"), EARLIER.items())
def test_an_earlier_export_gives_the_logits_that_it_gave(
    name: str, logits: list[list[float]]
) -> None:
    model, _, labels = load(FOLDER / name)
    ramps = torch.linspace(-1, 1, 2 * 32 * 32).reshape(2, 1, 32, 32)
    with torch.inference_mode():
        found = model(ramps).numpy()
    # By the integers of another processor they may differ by a step of the last layer's scale.
    assert np.abs(found - np.array(logits)).max() < 0.05
    assert labels == ("0", "1", "2")


@pytest.mark.parametrize("name", EARLIER)
def test_an_earlier_export_passes_every_check(name: str) -> None:
    assert [check for check in verify(FOLDER / name) if check.holds is False] == []
