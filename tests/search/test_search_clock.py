"""The clock of the search time: what counts, and what does not."""

import time

from search.search_clock import SearchClock


def test_only_the_time_between_start_and_stop_counts() -> None:
    clock = SearchClock(elapsed_s=3.0)
    time.sleep(0.02)
    assert clock.elapsed_s == 3.0
    clock.start()
    time.sleep(0.02)
    clock.start()  # it runs already
    assert clock.elapsed_s > 3.02
    clock.stop()
    used = clock.elapsed_s
    time.sleep(0.02)
    assert clock.elapsed_s == used
    clock.start()
    time.sleep(0.02)
    assert clock.elapsed_s > used + 0.02
