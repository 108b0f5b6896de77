"""Runs a yardstick: a whole search on public data, tested on the official test part.

    python -m benchmarks.yardsticks NAME DATA --folder FOLDER [key=value …]

NAME is one of the study files in this folder, such as fashion_mnist. DATA is the folder of the
data. FOLDER keeps the store, the students and the cache: the same command goes on where an
interrupted run stopped. The official test part is the study's test part, which no decision of the
search uses; it is opened once, at the end. The results are then appended to results.csv, which
already holds those of earlier runs, and the curves of the finalists to curves.csv. `--report`
prints the results as a table, `--picture FILE` draws the curves; both run nothing.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.yardsticks.curves import CURVES, append_curves, curves_of, draw
from benchmarks.yardsticks.rows import RESULTS, append_new, rows_of, table
from search.cli.display import watching
from search.config.loader import load_study
from search.config.study import Study
from search.run import resume_study, run_study
from search.storage.storage import Store

_FOLDER = Path(__file__).parent


def main() -> None:
    names = sorted(file.stem for file in _FOLDER.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=names)
    parser.add_argument("data", type=Path, nargs="?", help="the folder of the data")
    parser.add_argument("overrides", nargs="*", help="settings of the study, as key=value")
    parser.add_argument("--folder", type=Path, help="keeps all that the run makes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the CSV of the results")
    parser.add_argument("--report", action="store_true", help="print the table, and run nothing")
    parser.add_argument("--picture", type=Path, help="draw the curves, and run nothing")
    options = parser.parse_intermixed_args()
    if options.picture:
        draw(CURVES, options.name, options.picture)
    elif not options.report:
        if options.data is None or options.folder is None:
            parser.error("a run needs DATA and --folder")
        study = _study(options)
        with Store.open(study.run.storage) as store:
            _run(study, store)
            added = append_new(options.out, rows_of(options.name, study, store))
            append_curves(CURVES, curves_of(options.name, study, store))
        sys.stdout.write(f"{added} rows added to {options.out}\n")
    sys.stdout.write("\n".join(table(options.out, options.name)) + "\n")


def _study(options: argparse.Namespace) -> Study:
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return load_study(
        _FOLDER / f"{options.name}.yaml",
        [
            f"data.path={options.data.absolute()}",
            f"run.storage=sqlite:///{folder / 'store.db'}",
            f"run.artifacts={folder / 'artifacts'}",
            f"run.cache={folder / 'cache'}",
            *options.overrides,
        ],
    )


def _run(study: Study, store: Store) -> None:
    """Run the study, or go on with it; a study that has ended only gets what it lacks."""
    with watching(study, store) as callback:
        if study.study in store.names():
            resume_study(study, store, callback)
        else:
            run_study(study, store, callback)


if __name__ == "__main__":
    main()
