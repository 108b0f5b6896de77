import csv
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from search.cli.app import app
from search.errors import BadInput
from search.export.exporting import export_student
from search.objectives.limits import SIZE
from search.targets.agent_client import describe_agent
from search.targets.agent_request import TOKEN_VARIABLE
from search.targets.agent_server import Agent
from tests.messages import naming
from tests.search.cli.conftest import Retort
from tests.search.conftest import FinishedTrials

TOKEN = "a token of a test, long enough"  # noqa: S105


@pytest.fixture
def student(finished: FinishedTrials, home: Path) -> Path:
    """An exported student, in the current folder as `student`."""
    return export_student(*finished(), home / "student")


def _picture(path: Path, seed: int = 0) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_verify_tells_each_check(student: Path, retort: Retort) -> None:
    told = json.loads(retort("verify", "student", "--cache", "cache", "--json").stdout)
    assert {each["check"]: each["holds"] for each in told}["checksums"] is True


def test_verify_of_a_student_that_is_not_what_it_says_ends_with_1(
    student: Path, retort: Retort
) -> None:
    recipe = json.loads((student / "recipe.json").read_text())
    recipe["measured"]["cost"]["size_bytes"] += 1
    sums = (student / "SHA256SUMS").read_text().splitlines(keepends=True)
    (student / "recipe.json").write_text(json.dumps(recipe))
    from search.files.atomic import file_digest

    kept = [line for line in sums if not line.endswith("  recipe.json\n")]
    kept.append(f"{file_digest(student / 'recipe.json')}  recipe.json\n")
    (student / "SHA256SUMS").write_text("".join(kept))
    done = CliRunner().invoke(app, ["verify", "student", "--cache", "cache"])
    assert done.exit_code == 1
    size = (student / "model.onnx").stat().st_size
    assert naming("size", f"{size:,}", f"{size + 1:,}").search(done.stdout)


def test_predict_names_the_likeliest_classes_of_each_image(student: Path, retort: Retort) -> None:
    pictures = [str(_picture(Path(f"{seed}.png"), seed)) for seed in range(2)]
    told = json.loads(retort("predict", "student", *pictures, "--top", "2", "--json").stdout)
    assert [each["image"] for each in told] == pictures
    for each in told:
        shares = [guess["probability"] for guess in each["classes"]]
        assert len(shares) == 2
        assert shares == sorted(shares, reverse=True)
    everything = json.loads(retort("predict", "student", *pictures, "--top", "9", "--json").stdout)
    assert sum(guess["probability"] for guess in everything[0]["classes"]) == pytest.approx(1)


def test_predict_prints_a_line_for_each_image(student: Path, retort: Retort) -> None:
    _picture(Path("a [b].png"))
    line = retort("predict", "student", "a [b].png", "--top", "1").stdout
    assert line.startswith("a [b].png: ")
    assert line.endswith("%\n")


def test_predict_of_a_damaged_image_is_refused_by_name(student: Path, retort: Retort) -> None:
    Path("text.jpg").write_text("no image")
    _picture(Path("whole.png"))
    result = retort("predict", "student", "text.jpg", "whole.png")
    assert result.exit_code == 1
    assert naming("'text.jpg'").search(result.stderr)
    assert result.stdout.startswith("whole.png: ")


def test_predict_reads_folders_and_writes_csv(student: Path, retort: Retort) -> None:
    for name in ("b.png", "in/a.JPG", "in/deep/c.png", ".hidden.png"):
        Path("many", name).parent.mkdir(parents=True, exist_ok=True)
        _picture(Path("many", name))
    Path("many/notes.txt").write_text("no image")
    command = ("predict", "student", "many", "--top", "2")
    result = retort(*command, "--format", "csv")
    assert naming("1 .txt", "1 hidden").search(result.stderr)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["image"] for row in rows] == ["many/b.png", "many/in/a.JPG", "many/in/deep/c.png"]
    assert [*rows[0]] == ["image", "label", "probability", "label_2", "probability_2"]
    assert 1 >= float(rows[0]["probability"]) >= float(rows[0]["probability_2"]) >= 0
    retort(*command, "--output", "found.csv")
    assert list(csv.DictReader(io.StringIO(Path("found.csv").read_text()))) == rows
    retort(*command, "-o", "found.json")
    told = json.loads(Path("found.json").read_text())
    assert [one["classes"][0]["label"] for one in told] == [row["label"] for row in rows]
    with pytest.raises(BadInput, match=naming("--output", "found.txt")):
        retort(*command, "--output", "found.txt")
    Path("empty").mkdir()
    with pytest.raises(BadInput, match="empty"):
        retort("predict", "student", "empty")


def test_evaluate_writes_a_table_json_and_csv(student: Path, retort: Retort) -> None:
    models = ("student", "student/model.onnx")
    command = ("evaluate", *models, "--data", "recorded", "--cache", "cache")
    told = json.loads(retort(*command, "--format", "json").stdout)
    assert [each["model"] for each in told] == ["student", "student/model.onnx"]
    assert told[0]["accuracy"] == told[1]["accuracy"]
    rows = list(csv.DictReader(io.StringIO(retort(*command, "--format", "csv").stdout)))
    assert [row["accuracy"] for row in rows] == [str(each["accuracy"]) for each in told]
    table, _, _ = retort(*command).stdout.partition("recall by class")
    rows = [line for line in table.splitlines() if "%" in line and "95%" not in line]
    assert rows
    assert all(
        text in line
        for line in rows
        for text in (f"{told[0]['accuracy']:.2%}", SIZE.format(told[0]["size_bytes"]), "µs")
    )
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 80
    assert naming(36, "npz").search(table)
    assert "student" in table  # whose column stays where the others leave little room


def test_evaluate_writes_every_class_and_every_cell_of_the_confusion_matrix(
    student: Path, retort: Retort
) -> None:
    command = ("evaluate", "student", "--data", "recorded", "--cache", "cache")
    (model,) = json.loads(retort(*command, "--format", "json").stdout)
    classes = json.loads(retort(*command, "--rows", "classes", "--format", "json").stdout)
    cells = json.loads(retort(*command, "--rows", "confusions", "--format", "json").stdout)
    assert [row["class"] for row in classes] == ["0", "1", "2"]
    assert sum(row["images"] for row in classes) == sum(row["images"] for row in cells) == 36
    right = sum(row["right"] for row in classes)
    assert right / 36 == pytest.approx(model["accuracy"])
    assert np.mean([row["recall"] for row in classes]) == pytest.approx(model["balanced_accuracy"])
    assert right == sum(row["images"] for row in cells if row["class"] == row["predicted"])
    for rows, written in (("classes", classes), ("confusions", cells)):
        text = retort(*command, "--rows", rows, "--format", "csv").stdout
        assert list(csv.DictReader(io.StringIO(text))) == [
            {key: str(value) for key, value in row.items()} for row in written
        ]


def test_evaluate_shows_the_recalls_and_of_few_classes_the_whole_matrix(
    student: Path, retort: Retort
) -> None:
    command = ("evaluate", "student", "--data", "recorded", "--cache", "cache")
    whole = retort(*command).stdout
    (recalls, matrix) = (
        retort(*command, "--rows", rows).stdout for rows in ("classes", "confusions")
    )
    for table in (recalls, matrix):
        assert max(map(len, whole.splitlines())) <= 80
        rows = [line for line in table.splitlines() if line.split()[:1] in (["0"], ["1"], ["2"])]
        assert len(rows) == 3
        assert all(row in whole for row in rows)


def test_evaluate_without_data_says_what_to_pass(student: Path, retort: Retort) -> None:
    with pytest.raises(BadInput, match=naming("--data")):
        retort("evaluate", "student/model.onnx")


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an agent."""
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    describe_agent.cache_clear()
    with Agent("127.0.0.1", 0, token=TOKEN) as agent:
        thread = threading.Thread(target=agent.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{agent.server_port}"
        agent.shutdown()
        thread.join()


def test_profile_tells_what_a_student_takes_elsewhere(
    student: Path, agent: str, retort: Retort
) -> None:
    told = json.loads(retort("profile", "student", "--on", agent, "--json").stdout)
    assert 0 < told["latency_ms"] <= told["latency_p95_ms"]
    assert told["model_memory_bytes"] > 0
    assert told["processor"] in retort("profile", "student", "--on", agent).stdout


def test_profile_on_nothing_that_is_known_is_refused(student: Path, retort: Retort) -> None:
    with pytest.raises(BadInput, match=naming("--on", "ssh://", "http://", "'board'")):
        retort("profile", "student", "--on", "board")


def test_agent_without_a_token_is_refused(retort: Retort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(BadInput, match=naming(TOKEN_VARIABLE, 16, 0)):
        retort("agent", "--port", "1")


def test_agent_writes_itself_as_one_file(retort: Retort) -> None:
    assert "python3 agent.pyz serve" in retort("agent", "--write", "agent.pyz").stdout
    assert Path("agent.pyz").read_bytes().startswith(b"PK")
