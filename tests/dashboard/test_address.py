"""What may stand in an address, and what is made of it."""

from collections.abc import Callable

import pytest

from dashboard.address import number_between, numbers_among, one_of, some_of

WRONG = ["", "-1", "1.5", "nan", "inf", "1e400", "<script>", "9" * 5000, "\0", "٣", "1_0", " 1"]


# float() reads the others as a person may mean them.
@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e400", "<script>", "9" * 5000, "\0"])
def test_a_number_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words differ
        number_between(0, 100)(text)


@pytest.mark.parametrize("text", [*WRONG, "3,", ",", "3,x", "100"])
def test_numbers_that_are_no_trials_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not all"):
        numbers_among(100, most=5)(text)


def test_trials_are_read_in_order_each_once_up_to_the_most() -> None:
    assert numbers_among(100, most=5)("7,3,7") == [7, 3]
    assert numbers_among(100, most=2)("1,2,3") == [1, 2]


@pytest.mark.parametrize("read", [one_of(["a", "b"]), some_of(["a", "b"])])
def test_what_is_no_option_is_refused(read: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="options"):
        read("c")


def test_options_are_read() -> None:
    assert one_of(["a", "b"])("b") == "b"
    assert some_of(["a", "b"])("b,a,b") == ["b", "a"]
