"""The pattern by which tests look for facts in messages."""

import pytest

from tests.messages import naming


@pytest.mark.parametrize(
    ("facts", "text", "found"),
    [
        (("budget.size", 3), "3 bytes are too few\nfor budget.size", True),
        (("budget.size", 3), "13 bytes are too few for budget.size", False),
        (("budget.size",), "budget_size", False),
        (("budget.size",), "budget.size_bytes", False),
        (("model.onnx", "config.json"), "/a/model.onnx differs", False),
        (("--hub", "[1, 7]"), "--hub: [1, 7]", True),
    ],
)
def test_every_fact_is_found_whole_in_any_order(
    facts: tuple[object, ...], text: str, *, found: bool
) -> None:
    assert bool(naming(*facts).search(text)) is found
