import numpy as np
import pytest

from search.samplers.curve_extrapolation import EndingLine


def test_few_others_tell_a_gain_that_is_the_same_for_all() -> None:
    ending = EndingLine.through([(0.5, 1.5), (0.6, 1.6), (0.7, 1.7)]).ending(0.2)
    assert ending.logit == pytest.approx(1.2)


def test_many_tell_how_little_an_early_accuracy_means() -> None:
    rng = np.random.default_rng(0)
    ended = [(float(early), 1.4) for early in rng.normal(0.8, 0.4, 50)]
    assert EndingLine.through(ended).ending(0.0).logit == pytest.approx(1.4, abs=0.15)


def test_what_lies_outside_of_all_that_was_seen_is_the_less_certain() -> None:
    ended = [(0.5, 1.5), (0.6, 1.4), (0.7, 1.7)]
    near, far = EndingLine.through(ended).ending(0.6), EndingLine.through(ended).ending(-2.0)
    assert far.variance > 3 * near.variance


def test_half_of_the_endings_lie_above_what_is_predicted_and_a_quarter_above_the_hope() -> None:
    rng = np.random.default_rng(1)
    above = above_hope = 0
    for _ in range(400):
        early = rng.normal(0.8, 0.3, 13)
        last = 1.2 + 0.5 * early + rng.normal(0.0, 0.15, 13)
        ended = list(zip(early[1:].tolist(), last[1:].tolist(), strict=True))
        ending = EndingLine.through(ended).ending(float(early[0]))
        above += last[0] > ending.logit
        above_hope += last[0] > ending.optimistic_logit
    assert above / 400 == pytest.approx(0.5, abs=0.08)
    assert above_hope / 400 == pytest.approx(0.25, abs=0.07)
