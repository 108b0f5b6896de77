"""The imbalanced signs: what the rule keeps of the data, and the table of results."""

from pathlib import Path

import pytest

from benchmarks.imbalanced_signs import COLUMNS, OBJECTIVES, study_of, table, thinned


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes with 25 tracks of ten frames, and 100 test images each."""
    folder = tmp_path_factory.mktemp("signs")
    for label in range(6):
        train, test = (folder / part / f"{label:05d}" for part in ("train", "test"))
        train.mkdir(parents=True)
        test.mkdir(parents=True)
        for track in range(25):
            for frame in range(10):
                (train / f"{track:05d}_{frame:05d}.png").touch()
        for number in range(100):
            (test / f"{number:05d}.png").touch()
    return folder


def _counts(folder: Path) -> dict[str, int]:
    return {path.name: len(list(path.iterdir())) for path in sorted(folder.iterdir())}


def test_four_classes_stay_large_and_the_others_keep_a_few_tracks(
    data: Path, tmp_path: Path
) -> None:
    thinned(data, tmp_path / "images", seed=0)
    train, test = (_counts(tmp_path / "images" / part) for part in ("train", "test"))
    assert sorted(train.values()) == [8, 8, 48, 48, 48, 48]
    assert sorted(test.values()) == [15, 15, 90, 90, 90, 90]
    rare = next(name for name, count in train.items() if count == 8)
    assert test[rare] == 15
    frames = [path.stem for path in (tmp_path / "images/train" / rare).iterdir()]
    assert len({frame.partition("_")[0] for frame in frames}) == 4
    assert {frame.partition("_")[2] for frame in frames} == {"00000", "00005"}


def test_the_seed_alone_decides_what_is_kept(data: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        thinned(data, tmp_path / name, seed=seed)
    kept = {
        name: sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.png"))
        for name in "abc"
    }
    assert kept["a"] == kept["b"]
    assert kept["a"] != kept["c"]


def test_both_studies_differ_in_nothing_but_the_objective(tmp_path: Path) -> None:
    one, other = (
        study_of(tmp_path, objective=objective, seed=3, trials=2, epochs=1).model_dump()
        for objective in OBJECTIVES
    )
    assert one.pop("study") != other.pop("study")
    assert one["search"].pop("objective") == "accuracy"
    assert other["search"].pop("objective") == "macro_f1"
    assert one == other


def test_the_table_compares_the_seeds_of_which_both_studies_ended() -> None:
    def row(seed: int, objective: str, value: float) -> dict[str, str]:
        values = {name: str(value) for name in COLUMNS if name.startswith("test_")}
        return {"seed": str(seed), "objective": objective, "trials": "2", "epochs": "1", **values}

    rows = [row(0, "accuracy", 0.5), row(0, "macro_f1", 0.6), row(1, "accuracy", 0.9)]
    *_, accuracy, macro_f1, difference = table(rows)
    assert accuracy.startswith("| accuracy | 1 | 50.00 |")
    assert macro_f1.startswith("| macro_f1 | 1 | 60.00 |")
    assert difference.startswith("| difference | 1 | +10.00 |")
