"""The report: one HTML file that needs no network and escapes names that others chose."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import plotly
import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dashboard.report.results import Results, results_of
from search.files.text import visible_lines
from search.objectives.budget import Budget, stored_budget
from search.records import StudyRecord, StudyState, TrainingDone, TrialRecord, TrialState
from search.storage.leases import standing, standing_counts

_PLOTLY = Path(plotly.__file__).parent / "package_data/plotly.min.js"


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """The content of a report: a study, all its trials, and which of them were trained."""

    study: StudyRecord
    trials: Sequence[TrialRecord]
    done: Mapping[int, TrainingDone]


@dataclass(frozen=True, kw_only=True)
class _Page:
    """The template's values. The template inserts `Markup` as it is, everything else as text.

    Attributes:
        study: the study.
        standing: the study's state.
        trials: the number of trials.
        states: such as `12 complete`.
        budget: the study's budget.
        results: the trials' results; None if no trial has started.
        config: the study file, typed.
        plotly: plotly's script.
        theme: the script that gives figures the page's colours.
    """

    study: StudyRecord
    standing: StudyState
    trials: int
    states: Sequence[str]
    budget: Budget
    results: Results | None
    config: str
    plotly: Markup
    theme: Markup


def report(material: ReportData) -> str:
    """Return the study as a self-contained HTML document."""
    environment = Environment(
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = (resources.files("dashboard.report") / "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(vars(_page(material)))


def _visible(value: object) -> str:
    """Return text without characters that change its reading direction; `Markup` unchanged."""
    return value if isinstance(value, Markup) else visible_lines(str(value))


def _page(material: ReportData) -> _Page:
    study, trials = material.study, material.trials
    state, theme = standing(study), resources.files("dashboard.charts") / "theme.js"
    found = standing_counts(state, Counter(trial.state for trial in trials))
    return _Page(
        study=study,
        standing=state,
        trials=len(trials),
        states=[f"{found[state]} {state}" for state in TrialState if state in found],
        budget=stored_budget(study.config),
        results=results_of(study, trials, material.done) if trials else None,
        config=yaml.safe_dump(dict(study.config), sort_keys=False),
        plotly=Markup(_PLOTLY.read_text(encoding="utf-8")),  # noqa: S704  plotly's own
        theme=Markup(theme.read_text(encoding="utf-8")),  # noqa: S704  ours
    )
