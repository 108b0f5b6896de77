import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from search.config.loader import dump_study, load_study, peek_run, study_from_dict
from search.config.presets import preset_text
from search.config.study import Study
from search.errors import StudyFileError
from search.objectives.goal import BEST_WEIGHT
from spaces import registry
from tests.messages import naming

# For a long hunt, by other inputs each time:
# RETORT_FUZZ=100000 pytest tests/search/config/test_study_file.py -k fuzz
FUZZ = settings(
    max_examples=int(os.environ.get("RETORT_FUZZ", "300")),
    deadline=None,
    derandomize="RETORT_FUZZ" not in os.environ,
)

STUDY = """\
study: small
seed: 3
data:
  source: digits
teacher:
  model: resnet18
  train: {epochs: 2}
space:
  student:
    timm: {model: [test_resnet, test_vit]}
  pruning:
    none:
    magnitude:
      ratio: {low: 0.1, high: 0.5}
budget:
  size: 2MB
search:
  trials: 5
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.yaml"


def complaint(path: Path, text: str | bytes, *overrides: str) -> str:
    """What loading says of this file, without the folder's name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyFileError) as raised:
        load_study(path, overrides)
    return str(raised.value).replace(f"{path.parent}/", "")


def assert_named(told: str, place: str, facts: list[object]) -> None:
    """Checks that one fault is told, with its place and, beside it, each fact."""
    assert len(told.splitlines()) == 1
    assert naming(place).search(told)
    assert naming(*facts).search(told.replace(place, "", 1))


def changed(old: str, new: str) -> str:
    assert STUDY.count(old) == 1
    return STUDY.replace(old, new)


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    def checkpoint(path: str) -> Path | None:
        study = {
            "study": "digits",
            "data": {"source": "digits"},
            "teacher": {"model": "resnet18", "checkpoint": path},
            "space": {"student": {"timm": {"model": "test_resnet"}}},
        }
        return Study.model_validate(study).teachers[0].checkpoint

    assert checkpoint("~/weights.safetensors") == tmp_path / "weights.safetensors"
    with pytest.raises(ValidationError) as raised:
        checkpoint("~no-such-person/weights")
    assert "~no-such-person/weights" in raised.value.errors()[0]["msg"]


def test_a_study_file_becomes_a_typed_study(path: Path) -> None:
    path.write_text(STUDY)
    study = load_study(path)
    assert (study.study, study.seed, study.search.trials) == ("small", 3, 5)
    assert study.budget.size == 2_000_000
    assert study.search_space().axes["pruning"].keys() == {"none", "magnitude"}


def test_the_digits_preset_loads_without_a_change(path: Path) -> None:
    path.write_text(preset_text("digits"))
    assert load_study(path).study == "digits"


@pytest.mark.parametrize(
    ("old", "new", "place", "facts"),
    [
        ("high: 0.5", "high: 1.2", "14:7", ["space.pruning.magnitude.ratio", 0.05, 0.9, 1.2]),
        ("low: 0.1", "low: 0.6", "14:7", ["space.pruning.magnitude.ratio", 0.6, 0.5]),
        (
            "magnitude",
            "magnitud",
            "13:5",
            ["space.pruning.magnitud", *registry.methods("pruning"), "'magnitud'", "'magnitude'"],
        ),
        ("trials: 5", "trails: 5", "18:11", ["search.trails", "'trials'"]),
        ("seed: 3", "seed: three", "2:7", ["seed", "'three'"]),
        ("seed: 3", "seed: true", "2:7", ["seed", "true"]),
        ("seed: 3", "seed: -1", "2:7", ["seed", 0, -1]),
        ("seed: 3", "seed: .nan", "2:7", ["seed", 64, "'.nan'"]),
        ("small", "2024", "1:8", ["study", 2024]),
        ("small", "../small", "1:8", ["study", 64, "'../small'"]),
        ("2MB", "2XB", "16:9", ["budget.size", "'2XB'"]),
        ("source: digits", "source: folder", "3:1", ["data", "folder", "path"]),
        ("study: small\n", "", "1:1", ["study"]),
        ("seed: 3", "seed: 3\nseed: 4", "3:1", ["seed", "study.yaml:2:7"]),
    ],
)
def test_fault_20_a_fault_is_told_with_its_line_its_place_and_what_must_hold(
    path: Path, old: str, new: str, place: str, facts: list[object]
) -> None:
    assert_named(complaint(path, changed(old, new)), f"study.yaml:{place}", facts)


def test_a_whole_number_that_is_written_as_a_fraction_is_told_how_to_write_it(path: Path) -> None:
    told = complaint(path, changed("seed: 3", "seed: 1e1"))
    assert_named(told, "study.yaml:2:7", ["seed"])
    assert {"10.0", "10"} <= set(re.findall(r"\d+(?:\.\d+)?", told))


@pytest.mark.parametrize(
    ("text", "place", "facts"),
    [
        ("", "study.yaml:1:1", []),
        ("# nothing\n", "study.yaml:1:1", []),
        ("- a\n", "study.yaml:1:1", ["list"]),
        ("k: &x 1\nb: *x\n", "study.yaml:1:4", ["k", "&"]),
        ("k: *x\n", "study.yaml:1:4", ["k", "*"]),
        ("k: !!python/name:os.system x\n", "study.yaml:1:4", ["k", "!"]),
        ("k: 1\n---\nb: 1\n", "study.yaml:2:1", []),
        ("k: b: c\n", "study.yaml:1:5", []),
        ("1: b\n", "study.yaml:1:1", ["'1'"]),
        ("? [a]\n: b\n", "study.yaml:1:3", []),
        ("k: [b, [c, .inf]]\n", "study.yaml:1:12", ["k.1.1", "'.inf'"]),
        ("k: 1e999\n", "study.yaml:1:4", ["k", "'1e999'"]),
        ('k: "\\uD800"\n', "study.yaml:1:4", ["k", r"'\ud800'"]),
        ('k: "\\e[31m"\n', "study.yaml:1:4", ["k", r"'\x1b[31m'"]),
        ('k: "\\U00FFFFFF"\n', "study.yaml:1:1", []),
        (b"\x89PNG\r\n\x1a\n", "study.yaml", ["UTF-8", 1]),
        (b"k: 1\nb: \x00", "study.yaml:2:4", []),
        ("[" * 100_000, "study.yaml:1:34", [32]),
        ("{k: " * 100_000, "study.yaml:1:133", [32]),
        ("- 1\n" * 50_000, "study.yaml:20000:3", [20000]),
    ],
)
def test_fault_20_yaml_that_surprises_or_attacks_is_refused(
    path: Path, text: str | bytes, place: str, facts: list[object]
) -> None:
    assert_named(complaint(path, text), place, facts)


def test_several_faults_are_told_together(path: Path) -> None:
    text = changed("seed: 3", "seed: x").replace("trials: 5", "trials: 0")
    first, second = complaint(path, text).splitlines()
    assert_named(first, "study.yaml:2:7", ["seed", "'x'"])
    assert_named(second, "study.yaml:18:11", ["search.trials", 0])


def test_at_most_ten_faults_are_told_and_the_rest_counted(path: Path) -> None:
    text = STUDY + "".join(f"unknown_{number}: 1\n" for number in range(14))
    lines = complaint(path, text).splitlines()
    assert len(lines) == 11
    assert naming(4).search(lines[-1])


def test_fault_20_a_file_beyond_a_megabyte_is_refused_unparsed(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**8)  # a sparse file; its zeros would be refused as control characters
    with pytest.raises(StudyFileError, match=naming(path, "1 MB")):
        load_study(path)


def test_a_missing_file_is_told_with_a_way_on(path: Path) -> None:
    with pytest.raises(StudyFileError, match=naming(path, "retort init")):
        load_study(path)


def test_scientific_notation_is_a_number_with_or_without_a_point(path: Path) -> None:
    path.write_text(changed("epochs: 2", "learning_rate: 1e-3"))
    study = load_study(path)
    assert study.teachers[0].train is not None
    assert study.teachers[0].train.learning_rate == 0.001


@pytest.mark.parametrize("word", ["no", "off", "yes", "on", "2024-01-01", "1_000", "0x10", "1:30"])
def test_words_that_yaml_1_1_converts_stay_text(path: Path, word: str) -> None:
    path.write_text(changed("small", "x-" + word.replace(":", "-")))
    load_study(path)
    assert f"'{word}'" in complaint(path, changed("seed: 3", f"seed: {word}"))


def test_a_byte_order_mark_is_skipped(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + STUDY.encode())
    assert load_study(path).study == "small"


def test_an_override_replaces_a_value(path: Path) -> None:
    path.write_text(STUDY)
    study = load_study(path, ["search.trials=7", "budget.latency=5ms", "search.trials=8"])
    assert study.search.trials == 8
    assert study.budget.latency == 5.0


def test_an_override_may_be_a_list_or_a_mapping(path: Path) -> None:
    path.write_text(STUDY)
    study = load_study(path, ["space.pruning=[none]", "space.training={standard: {epochs: 2}}"])
    assert study.search_space().axes["pruning"].keys() == {"none"}


def test_an_override_opens_a_section_that_was_empty(path: Path) -> None:
    path.write_text(changed("magnitude:\n      ratio: {low: 0.1, high: 0.5}", "magnitude:"))
    study = load_study(path, ["space.pruning.magnitude.ratio=0.25"])
    assert study.search_space().distributions()["pruning.magnitude.ratio"].edges() == (0.25,)


@pytest.mark.parametrize(
    ("override", "facts"),
    [
        ("search.trials=abc", ["search.trials", "'abc'"]),
        ("search.trails=3", ["search.trails", "'trials'"]),
        ("space.pruning.magnitude.ratio=2", ["space.pruning.magnitude.ratio", 0.05, 0.9, 2]),
        ("trials", ["key=value"]),
        ("seed.x=3", ["seed"]),
        ("seed=.inf", ["seed", 64, "'.inf'"]),
        ("space=", ["space", "null"]),
    ],
)
def test_a_fault_of_an_override_names_the_override(
    path: Path, override: str, facts: list[object]
) -> None:
    assert_named(complaint(path, STUDY, override), override, facts)


@pytest.mark.parametrize(
    "override",
    [
        "run.storage={a: 'postgresql://me:hunter2@host/db'}",
        "run=postgresql://me:hunter2@host/db",
        "run.storag=postgresql://me:hunter2@host/db",
        "postgresql://me:hunter2@host/db",
        "run=postgresql://me:hunter2 and @more@host/db",
        "run.storage=[postgresql://me:hunter2@host/db",
    ],
)
def test_fault_21_no_fault_repeats_a_password(path: Path, override: str) -> None:
    assert "hunter2" not in complaint(path, STUDY, override)


def test_paths_of_data_and_teacher_are_relative_to_the_study_file(path: Path) -> None:
    text = changed("source: digits", "source: folder\n  path: images")
    path.write_text(text.replace("train: {epochs: 2}", "checkpoint: weights/t.safetensors"))
    study = load_study(path)
    assert study.data.path == path.parent / "images"
    assert study.teachers[0].checkpoint == path.parent / "weights" / "t.safetensors"


def test_a_factorys_file_is_relative_to_the_study_file_and_a_module_is_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def factory(given: str, *overrides: str) -> str | None:
        line = f"factory: {given}"
        path.write_text(STUDY.replace("model: resnet18", line))
        return load_study(path, overrides).teachers[0].factory

    assert factory("code/nets.py:make") == f"{path.parent}/code/nets.py:make"
    assert factory("installed.nets:make") == "installed.nets:make"
    (path.parent / "code").mkdir()
    for file in ("nets.py", "code/nets.py", "torch.py", "torch/nn.py"):
        (path.parent / file).parent.mkdir(exist_ok=True)
        (path.parent / file).touch()
    assert factory("nets:make") == f"{path.parent}/nets.py:make"
    assert factory("code_of_mine.nets:make") == "code_of_mine.nets:make"
    (path.parent / "code").rename(path.parent / "code_of_mine")
    assert factory("code_of_mine.nets:make") == f"{path.parent}/code_of_mine/nets.py:make"
    assert factory("torch.nn:Identity") == "torch.nn:Identity"
    monkeypatch.chdir(path.parent.parent)
    assert factory("a:b", "teacher.factory=nets.py:make") == f"{path.parent.parent}/nets.py:make"
    monkeypatch.setenv("HOME", "/home/someone")
    assert factory("~/nets.py:make") == "/home/someone/nets.py:make"


def test_a_checkpoint_alone_is_refused_with_what_is_missing(path: Path) -> None:
    alone = STUDY.replace("model: resnet18\n  train: {epochs: 2}", "checkpoint: w.pth")
    assert naming("teacher", "checkpoint", "model", "factory").search(complaint(path, alone))


def test_a_stem_belongs_to_a_timm_model(path: Path) -> None:
    text = STUDY.replace("  model: resnet18\n", "  factory: nets.py:make\n  stem: small\n")
    assert naming("teacher", "stem", "model").search(complaint(path, text))


@pytest.mark.parametrize(
    ("goal", "budget", "weight"),
    [
        ("null", "{size: 1MB}", BEST_WEIGHT),
        ("null", "{}", 0.0),
        ("best", "{}", BEST_WEIGHT),
        ("frontier", "{size: 1MB}", 0.0),
        ("0.9", "{}", 0.9),
    ],
)
def test_a_budget_asks_for_the_best_student_within_it(
    path: Path, goal: str, budget: str, weight: float
) -> None:
    path.write_text(STUDY)
    study = load_study(path, [f"search.goal={goal}", f"budget={budget}"])
    assert study.goal.weight == weight


def test_classes_of_a_teacher_are_an_order_a_list_or_a_file_beside_the_study(path: Path) -> None:
    def classes(given: str) -> object:
        teacher = f"checkpoint: w.pth\n  classes: {given}"
        path.write_text(STUDY.replace("train: {epochs: 2}", teacher))
        study = load_study(path)
        assert study_from_dict(dump_study(study)).teachers == study.teachers
        return study.teachers[0].classes

    assert classes("natural") == "natural"
    assert classes("sorted") == "sorted"
    assert classes('[ant, "7"]') == ["ant", "7"]
    assert classes("names.txt") == f"{path.parent}/names.txt"
    for wrong in ("3", "[1, 2]", "[]", "{a: b}"):
        text = STUDY.replace("train: {epochs: 2}", f"checkpoint: w.pth\n  classes: {wrong}")
        assert naming("teacher.classes", "natural", "sorted").search(complaint(path, text))
    text = STUDY.replace("train: {epochs: 2}", "train: {epochs: 2}\n  classes: natural")
    assert naming("teacher", "classes").search(complaint(path, text))


def test_paths_of_the_run_are_relative_to_the_current_folder(path: Path) -> None:
    path.write_text(STUDY + "run:\n  artifacts: out\n")
    assert load_study(path).run.artifacts == "out"


def test_a_path_in_an_override_is_relative_to_the_current_folder(path: Path) -> None:
    path.write_text(STUDY)
    study = load_study(path, ["data.source=folder", "data.path=images"])
    assert study.data.path == Path("images")


def test_a_list_of_teachers_makes_an_ensemble_and_its_faults_are_placed(path: Path) -> None:
    one, other = "{model: resnet18, pretrained: true}", "{model: resnet18, pretraind: true}"
    teachers = f"teacher:\n  - {one}\n  - {other}\n"
    text = changed("teacher:\n  model: resnet18\n  train: {epochs: 2}\n", teachers)
    assert_named(complaint(path, text), "study.yaml:7:34", ["teacher.1.pretraind", "'pretrained'"])


def test_a_study_survives_json_unchanged(path: Path) -> None:
    path.write_text(STUDY)
    study = load_study(path, ["budget.latency=0.3us", "search.max_time=90m", "run.cache=~/c"])
    assert study_from_dict(json.loads(json.dumps(dump_study(study)))) == study


def test_fault_21_a_stored_study_holds_no_password(path: Path) -> None:
    path.write_text(STUDY)
    study = load_study(path, ["run.storage=postgresql+psycopg://me:hunter2@host/db"])
    assert "hunter2" not in json.dumps(dump_study(study))
    assert study.run.storage.endswith("hunter2@host/db")


def test_a_stored_study_of_another_version_is_refused_in_words() -> None:
    with pytest.raises(StudyFileError, match=naming("serch", "'search'")):
        study_from_dict({"study": "x", "serch": {}})


def _load_or_refuse(folder: Path, content: bytes, *overrides: str) -> None:
    path = folder / "study.yaml"
    path.write_bytes(content)
    try:
        study = load_study(path, overrides)
    except StudyFileError as error:
        str(error).encode()  # can be printed
    else:
        json.dumps(dump_study(study), allow_nan=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@FUZZ
@given(content=st.binary(max_size=300))
def test_fuzz_arbitrary_bytes_are_loaded_or_refused(folder: Path, content: bytes) -> None:
    _load_or_refuse(folder, content)


# Pieces that mean something to YAML, to pydantic or to the space.
PIECES = st.sampled_from(
    [
        *("null", "true", "no", "~", ".nan", "-.inf", "1e999", "1e-3", "-1", "9" * 20, "9" * 5000),
        *("[]", "{}", "[a]", "{a: b}", "''", '"', "'", "&", "&a ", "*", "*a", "!!set", "|", ">"),
        *("- ", "? ", ": ", "#", "%", "@", ",", "[", "]", "{", "}", "<<", "\\", '"\\ud800"'),
        *("\t", "\n", "\n---\n", "\n...\n", "\x00", "é", "\u2028", "\ud7ff"),
        *("../", "none", "magnitude", "timm", "1MB", "5ms"),
    ]
)


@FUZZ
@given(data=st.data())
def test_fuzz_a_mutated_study_is_loaded_or_refused(folder: Path, data: st.DataObject) -> None:
    text = STUDY
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(PIECES | st.text(max_size=4)) + text[end:]
    _load_or_refuse(folder, text.encode("utf-8", "surrogatepass"))


KEYS = (
    "study seed data data.path teacher teacher.train space space.pruning space.student.timm.model"
)


@FUZZ
@given(key=st.sampled_from(KEYS.split()) | st.text(), value=PIECES | st.text())
def test_fuzz_an_override_is_taken_or_refused(folder: Path, key: str, value: str) -> None:
    _load_or_refuse(folder, STUDY.encode(), f"{key}={value}")


@pytest.mark.parametrize(
    ("written", "knobs"),
    [
        ("", {"level": "light"}),
        ("  augment: strong\n", {"level": "strong"}),
        ("  augment: none\n", {"level": "none"}),
        ("  augment: {level: standard, scale: [0.5, 1], flip: false}\n", {"scale": [0.5, 1]}),
        # As version 0.2 wrote them.
        ("  shift: 0.2\n  flip: false\n", {"level": "light", "shift": 0.2, "flip": False}),
        ("  flip: true\n", {"shift": None, "flip": True}),
    ],
)
def test_an_augmentation_is_a_level_and_knobs(
    path: Path, written: str, knobs: dict[str, object]
) -> None:
    path.write_text(STUDY.replace("  source: digits\n", f"  source: digits\n{written}"))
    study = load_study(path)
    found = study.data.augment.model_dump()
    assert {key: found[key] for key in knobs} == knobs
    stored = study_from_dict(json.loads(json.dumps(dump_study(study))))
    assert stored.data == study.data


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("  augment: wild\n", "data.augment.level"),
        ("  augment: {scale: [0, 1]}\n", "data.augment.scale"),
        ("  augment: {scale: [1, 0.5]}\n", "scale"),
        ("  augment: {ratio: [0.5]}\n", "data.augment.ratio"),
        ("  augment: {rotation: 200}\n", "data.augment.rotation"),
        ("  augment: {magnitude: 5}\n", "policy: rand"),
        ("  augment: {policy: auto}\n", "data.augment.policy"),
        ("  shift: 0.1\n  augment: light\n", "shift"),
    ],
)
def test_an_impossible_augmentation_is_named(path: Path, written: str, named: str) -> None:
    text = STUDY.replace("  source: digits\n", f"  source: digits\n{written}")
    assert naming(named).search(complaint(path, text))


class TestFloors:
    def test_they_are_read_from_the_file_and_from_overrides(self, path: Path) -> None:
        path.write_text(STUDY.replace("  size: 2MB", "  size: 2MB\n  recall: {stop: 0.98}"))
        overrides = ["budget.recall.14=0.9", "budget.metrics.macro_f1=0.8"]
        study = load_study(path, overrides)
        assert study.budget.recall == {"stop": 0.98, "14": 0.9}
        assert study.budget.metrics == {"macro_f1": 0.8}
        assert load_study(path, ["budget.recall.stop=0.5"]).budget.recall == {"stop": 0.5}
        assert load_study(path, ["budget.recall.stop=null"]).budget.recall == {}

    def test_they_survive_the_store(self, path: Path) -> None:
        path.write_text(STUDY)
        study = load_study(path, ["budget.recall.stop=0.98", "budget.metrics.accuracy=0.9"])
        stored = json.loads(json.dumps(dump_study(study)))
        assert study_from_dict(stored).budget == study.budget

    @pytest.mark.parametrize(
        ("override", "facts"),
        [
            ("budget.recall.stop=98", ("budget.recall.stop", 98)),
            ("budget.recall=0.98", ("budget.recall must", 0.98)),
            ("budget.metrics.macro_f2=0.9", ("budget.metrics.macro_f2", "macro_f1")),
            ("budget.metrics.accuracy=2", ("budget.metrics.accuracy", 2)),
        ],
        ids=str,
    )
    def test_a_fault_is_named_with_its_place(
        self, path: Path, override: str, facts: tuple[object, ...]
    ) -> None:
        assert naming(*facts, override).search(complaint(path, STUDY, override))

    def test_a_budget_of_floors_alone_does_not_change_the_goal(self, path: Path) -> None:
        path.write_text(STUDY.replace("  size: 2MB", "  recall: {stop: 0.98}"))
        assert load_study(path).goal.weight == 0


def test_where_a_study_runs_is_read_before_the_rest_is_checked(path: Path) -> None:
    path.write_text(f"{STUDY}run: {{parallel: 3}}\n")
    found = peek_run(path, ["run.cpus=2", "space.student.timm.model=not_there"])
    assert found is not None
    assert (found.parallel, found.cpus) == (3, 2)


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "study",
        STUDY.replace("space:", "spaces:"),
        f"{STUDY}run: {{cpus: 0}}\n",
        f"{STUDY}more: 1\n",
    ],
)
def test_nothing_starts_for_a_file_that_is_no_study(path: Path, text: str) -> None:
    path.write_text(text)
    assert peek_run(path) is None
    assert peek_run(path.with_name("absent.yaml")) is None
