"""Page of all studies in the store: their states and the best student of each."""

from datetime import UTC, datetime

import streamlit as st

from dashboard.charts.measures import objective_measures
from dashboard.charts.palette import BUDGET, CLOUD, FRONTIER, LOOKS
from dashboard.panels.headline import beside_in_words, show_activity, show_badges
from dashboard.panels.messages import as_plain, show_problem, show_text
from dashboard.panels.page import open_store
from dashboard.queries import Summary, load_summaries, store_url
from search.analysis.finals import kind_text
from search.errors import BadInput, DamagedRow
from search.objectives.budget import stored_budget
from search.objectives.goal import stored_goal
from search.objectives.units import format_duration
from search.records import TrialState
from search.storage.leases import standing
from search.storage.storage import safe_url

_MOST_SHOWN = 50
_COLOURS = {state: look.colour for state, look in LOOKS.items()} | {
    TrialState.COMPLETE: FRONTIER,
    TrialState.INFEASIBLE: BUDGET,
    TrialState.INTERRUPTED: CLOUD,
}


def show() -> None:
    """Show the page."""
    pulses = open_store("studies", "Studies")
    if pulses is None:
        return
    url = store_url()
    show_text(safe_url(url))
    summaries = load_summaries(url, pulses)
    for summary in summaries[:_MOST_SHOWN]:
        if isinstance(summary, DamagedRow):
            show_problem(f"{as_plain(summary.study)} is damaged.", str(summary))
        elif isinstance(summary, BadInput):
            show_problem("A study can't be read here.", str(summary))
        else:
            _show_study(summary)
    if len(summaries) > _MOST_SHOWN:
        st.caption(
            f"{len(summaries) - _MOST_SHOWN} older studies are not listed. "
            "Choose them on the other pages."
        )


def _show_study(summary: Summary) -> None:
    study, counts = summary.study, {s: tally.trials for s, tally in summary.tallies.items()}
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            # Plain text: in Markdown, a name such as _x_ would be emphasis.
            st.subheader(as_plain(study.name), width="content", anchor=False)
            show_badges(standing(study), counts)
            st.page_link(
                "views/frontier.py",
                label="Open",
                icon=":material/arrow_forward:",
                query_params={"study": study.name},
            )
        show_activity(study)
        _show_bar(counts)
        with st.container(horizontal=True):
            _show_best(summary)
            seconds = sum(tally.seconds for tally in summary.tallies.values())
            passed = (study.changed_at - study.created_at).total_seconds()
            _metric("Time in trials", format_duration(seconds))
            _metric("From start to last change", format_duration(passed))
            ago = (datetime.now(UTC) - study.changed_at).total_seconds()
            _metric("Last change", f"{format_duration(max(0.0, ago))} ago")
        st.caption(
            f"Started {study.created_at:%Y-%m-%d %H:%M} UTC · last change "
            f"{study.changed_at:%Y-%m-%d %H:%M:%S} UTC · budget: {stored_budget(study.config)}"
        )


def _show_best(summary: Summary) -> None:
    if summary.best is None:
        _metric("Best within the budget", "none yet")
        return
    outcome = summary.best.outcome
    assert outcome is not None
    goal = stored_goal(summary.study.config)
    score, *costs = objective_measures(goal).values()
    values = [(measure, measure.of(outcome)) for measure in costs]
    shown = beside_in_words(outcome.quality, goal)
    shown += [measure.label(value) for measure, value in values if value is not None]
    value = score.of(outcome)
    kind = kind_text(summary.best)
    named = [f"trial {summary.best.number}", f"({kind})" if kind else ""]
    _metric(
        "Best within the budget",
        "–" if value is None else score.label(value),
        f"{' '.join(filter(None, named))}: {', '.join(shown)}",
    )


def _metric(label: str, value: str, beside: str | None = None) -> None:
    st.metric(label, value, beside, delta_color="off", delta_arrow="off", width="stretch")


def _show_bar(counts: dict[TrialState, int]) -> None:
    segments = "".join(
        f'<div style="flex: {counts[state]}; background: {_COLOURS[state]}" '
        f'title="{counts[state]} {state}"></div>'
        for state in TrialState
        if state in counts
    )
    style = "display: flex; gap: 2px; height: 8px; border-radius: 4px; overflow: hidden"
    st.html(f'<div style="{style}">{segments}</div>')


if __name__ == "__main__":
    show()
