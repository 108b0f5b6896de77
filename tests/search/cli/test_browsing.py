import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, ConsoleDimensions

from search.cli.tables import objectives_text
from search.errors import BadInput, NoStudentFits, StoreError
from search.objectives.budget import Budget
from search.objectives.goal import DEFAULT_GOAL
from search.objectives.limits import limits
from search.objectives.metrics import metrics
from search.pipeline.refit import without_validation
from search.records import Measurement, Outcome, Purpose, StudyState, TrialKind
from search.storage.leases import this_process
from search.storage.storage import Store
from tests.measured import quality
from tests.messages import naming
from tests.search.cli.conftest import AddStudy, Retort
from tests.search.cli.made_outcomes import (
    COMPLETE,
    COST,
    FAILED,
    INFEASIBLE,
    NO_FASTER,
    PARAMS,
    PRUNED,
    SMALLER,
    STOPPED,
    WORSE,
)


def _column(table: str, place: int) -> list[str]:
    """The words at a place in the rows of a table that begin with a number."""
    rows = [line.split() for line in table.splitlines()]
    return [row[place] for row in rows if row and row[0].isdigit()]


def test_table_json_and_csv_carry_the_same_frontier(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, SMALLER, WORSE, INFEASIBLE, FAILED)
    table = retort("trials", "--frontier").stdout
    as_json = json.loads(retort("trials", "--frontier", "--format", "json").stdout)
    as_csv = csv.DictReader(io.StringIO(retort("trials", "--frontier", "--format", "csv").stdout))
    assert [row["trial"] for row in as_json] == [1, 0]
    assert _column(table, 0) == [row["trial"] for row in as_csv] == ["1", "0"]
    assert _column(table, 1) == [f"{row['accuracy']:.2%}" for row in as_json]


def test_trials_lists_every_trial_in_whatever_state(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, INFEASIBLE, FAILED)
    rows = json.loads(retort("trials", "--format", "json").stdout)
    assert [row["state"] for row in rows] == ["complete", "infeasible", "failed"]
    assert [row["size_bytes"] for row in rows] == [200_000, 450_000, None]


def test_csv_has_the_parameters_of_all_methods_as_columns(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    add_study(SMALLER, name="mixed", params=PRUNED)
    plain, pruned = (
        next(
            csv.DictReader(io.StringIO(retort("trials", "--study", name, "--format", "csv").stdout))
        )
        for name in ("digits", "mixed")
    )
    assert set(pruned) - set(plain) == {"pruning.magnitude.ratio"}
    assert pruned["pruning.magnitude.ratio"] == "0.25"


def test_status_tells_of_each_study(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, FAILED)
    add_study(name="empty")
    first, second = json.loads(retort("status", "--json").stdout)
    assert first["trials"] == {"complete": 1, "failed": 1}
    assert (first["best_trial"], first["best_accuracy"], first["frontier"]) == (0, 0.9, 1)
    assert second["trials"] == {}
    assert second["best_trial"] is None


def test_status_shows_each_study_as_a_row(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, FAILED)
    row = next(line for line in retort("status").stdout.splitlines() if "digits" in line)
    assert "finished" in row
    assert "90.00%" in row


def test_status_tells_what_a_study_prepares_and_why_a_run_failed(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study()
    doing, why = "training the teacher: epoch 3 of 20", "data.path [none] must be readable"
    with Store.open("sqlite:///retort.db") as store:
        store.set_study_state("digits", StudyState.FAILED, failure=why)
        store.create_study("new", config={}, artifacts="a", lease=this_process(), activity=doing)
    failed, running = json.loads(retort("status", "--json").stdout)
    assert (failed["state"], failed["activity"], failed["failure"]) == ("failed", None, why)
    assert (running["state"], running["activity"], running["failure"]) == ("running", doing, None)
    shown = " ".join(retort("status").stdout.split())
    assert "epoch" in shown
    assert "[none]" in shown


@pytest.mark.parametrize("outcome", [FAILED, INFEASIBLE, STOPPED])
def test_trials_says_why_a_trial_has_no_student(
    retort: Retort, add_study: AddStudy, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_study(outcome)
    failure = outcome.failure
    why = f"{failure.kind}: {failure.message}" if failure else outcome.reason
    (row,) = json.loads(retort("trials", "--format", "json").stdout)
    assert row["reason"] == why
    (row,) = csv.DictReader(io.StringIO(retort("trials", "--format", "csv").stdout))
    assert row["reason"] == why
    monkeypatch.setattr(Console, "size", ConsoleDimensions(160, 25))
    shown = retort("trials").stdout
    assert "why" in shown
    assert str(why).split()[1] in shown


def test_show_tells_why_a_trial_failed(retort: Retort, add_study: AddStudy) -> None:
    add_study(FAILED)
    shown = retort("show", "0").stdout
    assert FAILED.failure
    assert naming(*vars(FAILED.failure).values()).search(shown)


def test_show_tells_what_an_infeasible_trial_breaks(retort: Retort, add_study: AddStudy) -> None:
    add_study(INFEASIBLE)
    assert str(INFEASIBLE.reason) in retort("show", "0").stdout


def test_show_tells_stages_and_hardware_of_a_complete_trial(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    shown = retort("show", "0").stdout
    assert "distil" in shown
    assert "210 KB" in shown
    assert "750 µs" in shown
    assert "one of these" in shown
    assert "trial-00000" in shown


def test_stages_that_made_no_difference_are_marked_and_explained(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE, NO_FASTER)
    table = " ".join(retort("trials").stdout.split())
    assert table.count("no_op") == 1
    assert naming("no_op", "prune", "quantize").search(table)
    shown = retort("show", "1").stdout
    assert [line for line in str(NO_FASTER.no_op).splitlines() if line not in shown] == []
    rows = json.loads(retort("trials", "--format", "json").stdout)
    assert [row["no_op"] for row in rows] == [None, NO_FASTER.no_op]


def test_show_gives_all_of_a_trial_as_json(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE)
    shown = json.loads(retort("show", "0", "--json").stdout)
    assert shown["outcome"]["stages"][0]["name"] == "distil"
    assert shown["params"]["student.timm.model"] == "test_resnet"


def test_show_of_a_trial_that_is_not_there_names_the_command_that_lists_them(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    with pytest.raises(StoreError, match=naming(7, "retort trials --study digits")):
        retort("show", "7")


def test_best_is_the_most_accurate_within_the_studys_budget(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(SMALLER, COMPLETE, WORSE)
    assert json.loads(retort("best", "--json").stdout)["trial"] == 1


def test_best_keeps_to_the_limits_that_are_given(retort: Retort, add_study: AddStudy) -> None:
    add_study(SMALLER, COMPLETE)
    assert json.loads(retort("best", "--max-size", "100KB", "--json").stdout)["trial"] == 0


def test_best_names_the_command_that_exports_it(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE)
    assert "retort export 0 --study digits -o DIR" in retort("best").stdout


def test_best_names_the_store_where_it_is_not_the_default(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE)
    shown = retort("best", "--store", "sqlite:///./retort.db").stdout
    assert "retort export 0 --store sqlite:///./retort.db --study digits -o DIR" in shown


def test_best_names_the_nearest_miss(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, SMALLER)
    with pytest.raises(NoStudentFits, match=naming(1, "size", "80.0 KB", "50.0 KB")):
        retort("best", "--max-size", "50KB")


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (("--max-latency", "5ms"), 0),
        (("--max-latency", "0.3ms"), 1),
        (("--max-size", "100KB", "--max-latency", "1s"), 1),
    ],
)
def test_best_within_other_limits_than_the_studys(
    retort: Retort, add_study: AddStudy, options: tuple[str, ...], number: int
) -> None:
    add_study(COMPLETE, replace(SMALLER, cost={**(SMALLER.cost or {}), "latency_ms": 0.2}))
    assert f"retort export {number} " in retort("best", *options).stdout


def test_best_names_the_most_accurate_where_none_is_accurate_enough(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE, SMALLER)
    with pytest.raises(NoStudentFits, match=naming(0, "90.00%")):
        retort("best", "--min-accuracy", "0.99")


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (("--max", "parameters=20k"), 1),
        (("--max", "macs=3M", "--max", "parameters=100000"), 0),
        (("--max", "size=100KB"), 1),
    ],
)
def test_best_within_any_limit_by_name(
    retort: Retort, add_study: AddStudy, options: tuple[str, ...], number: int
) -> None:
    add_study(COMPLETE, replace(SMALLER, cost={**(SMALLER.cost or {}), "parameters": 10_000}))
    assert json.loads(retort("best", *options, "--json").stdout)["trial"] == number


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("parameters",), "'parameters'"),
        (("parametres=1",), "did you mean 'parameters'"),
        (("parameters=many",), "--max parameters .*'many'"),
        (("macs=1", "macs=2"), "--max macs"),
    ],
)
def test_a_limit_by_name_that_is_none_is_refused(
    retort: Retort, add_study: AddStudy, given: tuple[str, ...], named: str
) -> None:
    add_study(COMPLETE)
    options = [word for one in given for word in ("--max", one)]
    with pytest.raises(BadInput, match=named):
        retort("best", *options)


def test_trials_lists_those_within_limits(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, SMALLER, INFEASIBLE, FAILED)
    options = ("--max-size", "100KB", "--format", "json")
    (found,) = json.loads(retort("trials", *options).stdout)
    assert found["trial"] == 1


def test_the_frontier_within_a_limit_is_of_those_that_keep_it(
    retort: Retort, add_study: AddStudy
) -> None:
    heavy = replace(COMPLETE, cost={**(COMPLETE.cost or {}), "macs": 9_000_000})
    add_study(heavy, replace(WORSE, quality=quality(accuracy=0.89)))
    options = ("--frontier", "--max", "macs=5M", "--format", "json")
    assert [row["trial"] for row in json.loads(retort("trials", *options).stdout)] == [1]


@pytest.mark.parametrize("option", ["--min", "--min-accuracy"])
def test_best_keeps_to_a_least_value(retort: Retort, add_study: AddStudy, option: str) -> None:
    add_study(SMALLER, COMPLETE)
    found = json.loads(retort("best", option, "0.85", "--json").stdout)
    assert found["trial"] == 1


@pytest.mark.parametrize("option", ["--min", "--min-accuracy"])
def test_a_least_value_beyond_the_metric_is_refused(
    retort: Retort, add_study: AddStudy, option: str
) -> None:
    add_study(COMPLETE)
    with pytest.raises(BadInput, match=rf"^{option} .*\b1\.5\b"):
        retort("best", option, "1.5")


def test_a_study_of_another_metric_is_chosen_from_and_shown_by_that(
    retort: Retort, add_study: AddStudy
) -> None:
    found = [quality(accuracy=0.9, agreement=0.5), quality(accuracy=0.5, agreement=0.9)]
    outcomes = [replace(COMPLETE, quality=each) for each in found]
    add_study(*outcomes, search={"objective": "agreement", "minimize": ["parameters"]})
    assert json.loads(retort("best", "--json").stdout)["trial"] == 1
    (study,) = json.loads(retort("status", "--json").stdout)
    assert (study["best_trial"], study["best_agreement"], study["frontier"]) == (1, 0.9, 1)
    table = retort("trials").stdout
    assert "agreement" in table
    assert "parameters" in table
    with pytest.raises(BadInput, match="agreement"):
        retort("best", "--min-accuracy", "0.5")


@pytest.mark.parametrize(
    "sections",
    [{"search": {"objective": "elegance"}}, {"search": {"minimize": ["elegance"]}},
     {"budget": {"elegance": 3}}],
    ids=["metric", "cost", "limit"],
)  # fmt: skip
def test_a_study_of_what_is_not_installed_is_named_and_the_others_are_shown(
    sections: dict[str, Any], add_study: AddStudy, retort: Retort, home: Path
) -> None:
    add_study(COMPLETE)
    add_study(COMPLETE, name="other", **sections)
    result = retort("status", "--json")
    assert result.exit_code == 1
    assert [study["study"] for study in json.loads(result.stdout)] == ["digits"]
    for command in (
        ["best"], ["export", "--output", "student"], ["report", "--output", "report.html"],
        *([["trials"]] if "search" in sections else []),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=r"\bother\b.*'elegance'"):
            retort(*command, "--study", "other")


def test_a_row_has_every_metric_and_every_cost(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE)
    (row,) = json.loads(retort("trials", "--format", "json").stdout)
    assert {*metrics(), *(f"test_{name}" for name in metrics())} < row.keys()
    assert {cost for limit in limits().values() for cost in (limit.cost, *limit.also)} < row.keys()
    assert (row["agreement"], row["test_accuracy"], row["macs"]) == (0.95, None, 2_000_000)


def test_a_wide_terminal_shows_the_other_metrics_and_costs(
    retort: Retort, add_study: AddStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_study(replace(COMPLETE, quality=quality(accuracy=0.9, agreement=0.77)))
    assert "77.00%" not in retort("trials").stdout
    monkeypatch.setattr(Console, "size", ConsoleDimensions(160, 25))
    wide = retort("trials").stdout
    assert "77.00%" in wide
    assert "50.0 k" in wide


@pytest.mark.parametrize("command", [["trials"], ["best"], ["status"]])
def test_balanced_accuracy_stands_beside_an_accuracy_that_hides_it(
    command: list[str], retort: Retort, add_study: AddStudy
) -> None:
    add_study(replace(COMPLETE, quality=quality(accuracy=0.339, balanced_accuracy=0.172)))
    table, _, reasons = retort(*command).stdout.partition("\nTrial")
    assert "33.90%" in table
    assert "17.20%" in table
    assert max(map(len, table.splitlines())) <= 80
    assert bool(reasons) is (command == ["best"])


@pytest.mark.parametrize("command", [["trials"], ["best"], ["status"]])
def test_balanced_accuracy_that_says_the_same_takes_no_room(
    command: list[str], retort: Retort, add_study: AddStudy
) -> None:
    add_study(replace(COMPLETE, quality=quality(accuracy=0.901, balanced_accuracy=0.899)))
    assert "89.90%" not in retort(*command).stdout


def test_a_trial_that_is_exported_or_reported_says_its_balanced_accuracy() -> None:
    assert (
        objectives_text(
            DEFAULT_GOAL, quality(accuracy=0.339, balanced_accuracy=0.172), {"size_bytes": 200_000}
        )
        == "accuracy 33.90% ± 2.93%, balanced accuracy 17.20% ± 2.34%, size 200 KB"
    )


@pytest.mark.parametrize(
    ("option", "text"), [("--max-size", "2parsec"), ("--max-size", ""), ("--max-latency", "5")]
)
def test_a_limit_that_is_no_quantity_is_refused_by_name(
    retort: Retort, add_study: AddStudy, option: str, text: str
) -> None:
    add_study(COMPLETE)
    with pytest.raises(BadInput, match=naming(option, repr(text))):
        retort("best", option, text)


def test_a_wrong_study_name_brings_what_comes_near(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE)
    with pytest.raises(StoreError, match=naming("digit", "digits")):
        retort("trials", "--study", "digit")


def test_a_bracketed_name_shows_literally(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, name="[red]x", params={**PRUNED, "student.timm.model": "[bold]net"})
    for command in (["status"], ["trials"], ["best"]):
        assert "[red]x" in retort(*command).stdout
    assert "[bold]net" in retort("show", "0").stdout


@pytest.mark.parametrize("command", [["trials"], ["trials", "--frontier"], ["status"]])
def test_a_study_without_trials_shows(
    retort: Retort, add_study: AddStudy, command: list[str]
) -> None:
    add_study()
    assert retort(*command).exit_code == 0


def test_csv_of_no_trials_is_empty(retort: Retort, add_study: AddStudy) -> None:
    add_study()
    assert retort("trials", "--format", "csv").stdout.strip() == ""


def test_tables_fit_eighty_columns(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, INFEASIBLE, FAILED)
    shown = retort("trials").stdout + retort("status").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert "labels" in shown  # of the recipes, which are folded and not cut off


def _add_finals(accuracy: float = 0.85) -> None:
    """Adds two seeds of a finalist of trial 0, and a refit of the better one, to the study."""
    params = {**PARAMS, "training": "standard", "training.standard.epochs": 40}
    with Store.open("sqlite:///retort.db") as store:
        for seed in range(2):
            purpose = Purpose(TrialKind.FINAL, repeats=0)
            number = store.start_trial("digits", params=params, seed=seed, purpose=purpose)
            measured = quality(accuracy=accuracy + seed / 100)
            store.finish_trial("digits", number, replace(COMPLETE, quality=measured))
        purpose = Purpose(TrialKind.REFIT, repeats=number)
        refit = store.start_trial("digits", params=params, seed=1, purpose=purpose)
        store.finish_trial("digits", refit, without_validation(COMPLETE))
        store.record_test("digits", refit, quality(accuracy=0.875))


def test_trials_lists_trials_of_one_kind(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE, SMALLER)
    _add_finals()
    rows = json.loads(retort("trials", "--kind", "final", "--format", "json").stdout)
    assert [(row["trial"], row["kind"], row["repeats"], row["seed"]) for row in rows] == [
        (2, "final", 0, 0),
        (3, "final", 0, 1),
    ]
    assert _column(retort("trials", "--kind", "search").stdout, 0) == ["0", "1"]
    assert naming("final of 0", "refit of 3").search(retort("trials").stdout)
    assert "final" not in retort("trials", "--kind", "search").stdout


def test_best_is_the_finalist_and_what_is_exported_is_its_refit(
    retort: Retort, add_study: AddStudy
) -> None:
    add_study(COMPLETE, SMALLER)  # COMPLETE is better than the finalists
    _add_finals()
    shown = retort("best").stdout
    assert _column(shown, 0) == ["3", "4"]
    assert naming("training and validation images", "retort export 4").search(shown)
    row = json.loads(retort("best", "--json").stdout)
    assert (row["trial"], row["accuracy"], row["test_accuracy"]) == (4, None, 0.875)
    (status,) = json.loads(retort("status", "--json").stdout)
    assert (status["best_trial"], status["shipped_trial"], status["finalists"]) == (3, 4, 2)
    assert "finalist" in retort("status").stdout


def test_show_tells_how_the_seeds_of_a_finalist_vary(retort: Retort, add_study: AddStudy) -> None:
    add_study(COMPLETE)
    _add_finals()
    assert naming("trial 0", "40 epochs", "85.50%", "2 seeds").search(retort("show", "2").stdout)
    with pytest.raises(BadInput, match=naming("trial 3", "trial 2")):
        retort("show", "3", "--as-study")


FLOORS = {"recall": {"stop": 0.98}, "metrics": {"agreement": 0.5}}


def _signs(recall: float, accuracy: float = 0.9) -> Outcome:
    """A student of a study with floors, as its trial would have recorded it."""
    budget = Budget.model_validate({"size": "300KB", **FLOORS})
    found = quality(accuracy=accuracy, agreement=0.95)
    found = {**found, "recall.stop": Measurement(recall, 0.01)}
    return replace(
        COMPLETE,
        quality=found,
        violations=budget.violations(COST, found),
        reason=budget.explain(COST, found) or None,
    )


class TestFloors:
    def test_the_best_student_meets_them(self, add_study: AddStudy, retort: Retort) -> None:
        add_study(_signs(0.95, 0.99), _signs(0.99, 0.9), budget=FLOORS)
        shown = retort("best").stdout
        assert "recall of stop at least 98.00%" in " ".join(shown.split())
        assert naming("99.00% ± 1.96%").search(shown)
        row = json.loads(retort("best", "--json").stdout)
        assert row["trial"] == 1
        assert row["recall.stop"] == 0.99
        assert row["within_budget"] is True

    def test_without_one_the_nearest_is_named(self, add_study: AddStudy, retort: Retort) -> None:
        add_study(_signs(0.95), _signs(0.5), budget=FLOORS)
        broken = "recall of stop 95.00% is below 98.00%"
        with pytest.raises(NoStudentFits, match=naming("trial 0", broken)):
            retort("best")
        (study,) = json.loads(retort("status", "--json").stdout)
        assert study["nearest_trial"] == 0
        assert study["nearest_misses"] == broken
        assert study["best_trial"] is None
        assert "recall of stop at least 98.00%" in study["budget"]
        assert naming("trial 0", "95.00%", "98.00%").search(retort("status").stdout)

    def test_trials_tell_which_break_one(
        self, add_study: AddStudy, retort: Retort, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_study(_signs(0.95), _signs(0.99), STOPPED, budget=FLOORS)
        rows = json.loads(retort("trials", "--format", "json").stdout)
        assert [row["within_budget"] for row in rows] == [False, True, None]
        assert [row["recall.stop"] for row in rows] == [0.95, 0.99, None]
        assert rows[0]["reason"] == "recall of stop 95.00% is below 98.00%"
        assert "recall.stop" in retort("trials", "--format", "csv").stdout.splitlines()[0]
        assert naming("breaks the floors", "95.00%").search(retort("show", "0").stdout)
        monkeypatch.setattr(Console, "size", ConsoleDimensions(200, 25))
        assert naming("why", "below", "recall", "99.00% ± 1.96%").search(retort("trials").stdout)

    def test_given_floors_replace_those_of_the_study(
        self, add_study: AddStudy, retort: Retort
    ) -> None:
        add_study(_signs(0.95, 0.99), _signs(0.99, 0.9), budget=FLOORS)

        def best(*options: str) -> int:
            return int(json.loads(retort("best", "--json", *options).stdout)["trial"])

        assert best("--min", "recall.stop=0.9") == 0
        assert best("--max-size", "250KB") == 1
        assert best("--min", "accuracy=0.95") == 0
        rows = json.loads(retort("trials", "--format", "json", "--min", "recall.stop=0.97").stdout)
        assert [row["trial"] for row in rows] == [1]

    @pytest.mark.parametrize(
        ("options", "facts"),
        [
            (("--min", "recall.yield=0.9"), ("recall.yield", "recall.stop")),
            (("--min", "recall.stop=98"), ("stop", 98)),
            (("--min", "elegance=0.9"), ("elegance",)),
            (("--min", "macro_f1=much"), ("macro_f1", "much")),
            (("--min", "much"), ("--min", "much")),
            (("--min", "0.5", "--min", "0.6"), ("0.5", "0.6")),
            (("--min", "macro_f1=0.5", "--min", "macro_f1=0.6"), ("macro_f1",)),
        ],
        ids=str,
    )
    def test_a_given_floor_that_can_not_be_asked_for_is_refused(
        self,
        add_study: AddStudy,
        retort: Retort,
        options: tuple[str, ...],
        facts: tuple[object, ...],
    ) -> None:
        add_study(_signs(0.99), budget=FLOORS)
        with pytest.raises(BadInput, match=naming(*facts)):
            retort("best", *options)

    def test_trials_take_only_floors_with_a_name(self, add_study: AddStudy, retort: Retort) -> None:
        add_study(_signs(0.99), budget=FLOORS)
        with pytest.raises(BadInput, match=naming("--min", "NAME=VALUE")):
            retort("trials", "--min", "0.9")
