"""The recommended student within the budget, the reasons for it, and its export."""

import streamlit as st

from dashboard.frames import recipe_in_words
from dashboard.panels.export import show_export
from dashboard.panels.headline import explain_absence, show_measures, teacher_in_words
from dashboard.panels.limits import LimitSelection
from dashboard.queries import StudyView
from search.analysis.recommend import Advice, reasons


def show_choice(
    view: StudyView, limits: LimitSelection, advice: Advice | None, reason: str, *, url: str
) -> None:
    """Show the recommended student, or the reason why there is none."""
    if advice is None:
        explain_absence(view, reason)
        return
    study, number = view.study, advice.shipped.number
    with st.container(border=True):
        st.markdown(f"#### Take trial {number}")
        # Plain text, because others may have named the student.
        st.text(recipe_in_words(advice.chosen.params))
        budget = limits.budget
        within = "no limit is set" if budget.is_open else str(budget)
        teacher = study.teacher
        compared = "" if teacher is None else f" · teacher: {teacher_in_words(teacher, view.goal)}"
        st.caption(f"Your budget: {within}{compared}")
        show_measures(advice.chosen, study.teacher, view.goal, floors=budget.floors())
        why, take = st.columns([3, 2], gap="large")
        with why:
            st.markdown("**Why this student**")
            for line in reasons(advice, budget, view.goal):
                st.markdown(f"- {line}")
        with take:
            st.markdown(
                "**Get this student**", help="Weights, ONNX, recipe, model card, checksums."
            )
            show_export(study, advice.shipped, url=url, key="choice.export")
            st.page_link(
                "views/trial.py",
                label=f"Open trial {number}",
                icon=":material/biotech:",
                query_params={"study": study.name, "trial": str(number)},
            )
