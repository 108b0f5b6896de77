"""What works with every timm model under 12 million parameters.

    nice -n 19 python -m benchmarks.catalogue            appends to benchmarks/catalogue.csv
    nice -n 19 python -m benchmarks.catalogue --again    also those that failed somewhere
    python -m benchmarks.catalogue_page                  writes docs/catalogue.md from the CSV

Of each model, untrained and with ten classes: whether it trains (two steps of the standard training
move most weights' tensors), prunes (the magnitude method at 25, 50 and 75%; the cuts are replayed
on a new network, and the pruned one takes a training step), exports (ONNX that gives torch's
logits) and quantizes (static int8, finite logits). Images have 64 pixels, or the model's own size
where it can't take those. Latencies are of one image, on one thread, by ONNX Runtime.

Each model has a limit of computing time, and a process that dies takes no other model with it. A
run that was interrupted goes on where it stopped.
"""

import argparse
import copy
import csv
import dataclasses
import logging
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import get_type_hints

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.config.student_spec import StudentRequirements
from search.config.target_settings import TargetSettings
from search.cost_model.dry_run import untrained
from search.errors import shortened
from search.objectives.budget import Budget
from search.objectives.counting import count_operations
from search.objectives.limits import MACS, PARAMETERS
from search.targets.latency import measure_latency
from search.targets.onnx_export import export_onnx
from search.targets.registry import runtime_of_file
from search.targets.target import ServedModel
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.structured.cuts import replay_cuts
from spaces.quantization.int8_static import Int8Static
from spaces.students.sizes import family_of, parameters_of
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

FILE = Path(__file__).with_name("catalogue.csv")
LARGEST, CLASSES, SIZE, BATCH = 12_000_000, 10, 64, 4
YES = "yes"
_LIMIT_S = 120  # of computing
_WAIT_S = 1800  # for a process that does not even compute
_RATIOS = (0.25, 0.5, 0.75)


@dataclass
class Row:
    """The results of one model; a verdict is `yes`, the reason why not, or empty if not tried."""

    model: str
    family: str
    pretrained: str
    image_size: int = 0
    parameters: int = 0
    macs: int = 0
    float_bytes: int = 0
    int8_bytes: int = 0
    float_ms: float = 0.0
    int8_ms: float = 0.0
    trains: str = ""
    prunes_25: str = ""
    prunes_50: str = ""
    prunes_75: str = ""
    exports: str = ""
    quantizes: str = ""
    left_50: float = 0.0
    seconds: float = 0.0
    timm: str = timm.__version__

    @property
    def works(self) -> bool:
        """Whether the model trains, prunes at every ratio, exports and quantizes."""
        return all(verdict == YES for verdict in self.verdicts().values())

    def verdicts(self) -> dict[str, str]:
        """Return each verdict by its column."""
        names = ("trains", "prunes_25", "prunes_50", "prunes_75", "exports", "quantizes")
        return {name: getattr(self, name) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="try those that failed once more")
    parser.add_argument("--only", default="*", help="a glob of model names")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    rows = read_rows(options.file)
    done = {row.model for row in rows if row.works or not options.again}
    models = [model for model in candidates(options.only) if model not in done]
    for number, row in enumerate(_measured(models)):
        print(
            f"{number + 1}/{len(models)} {row.model} {row.seconds:.0f} s {_told(row)}", flush=True
        )
        rows = [one for one in rows if one.model != row.model] + [row]
        write_rows(options.file, rows)


def candidates(glob: str = "*") -> list[str]:
    """Return the models under 12 million parameters, with timm's own number of classes."""
    return [model for model in timm.list_models(glob) if parameters_of(model) < LARGEST]


def read_rows(file: Path) -> list[Row]:
    """Return the rows of the CSV; an empty list if there is no file."""
    if not file.exists():
        return []
    kinds = get_type_hints(Row)
    with file.open(newline="") as lines:
        return [
            Row(**{key: kinds[key](value) for key, value in line.items()})
            for line in csv.DictReader(lines)
        ]


def write_rows(file: Path, rows: list[Row]) -> None:
    """Replace the whole CSV by these rows, sorted by name."""
    temporary = file.with_suffix(".part")
    with temporary.open("w", newline="") as lines:
        names = [field.name for field in dataclasses.fields(Row)]
        writer = csv.DictWriter(lines, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in sorted(rows, key=lambda row: row.model))
    temporary.replace(file)


def _told(row: Row) -> str:
    failed = {name: why for name, why in row.verdicts().items() if why != YES}
    return "works" if row.works else str(failed)[:300]


def _measured(models: list[str]) -> Iterator[Row]:
    """Yield a row for each model, from a process that is replaced if it dies or hangs."""
    context = multiprocessing.get_context("spawn")
    process, pipe = None, None
    for model in models:
        if process is None or not process.is_alive():
            pipe, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
        assert pipe is not None
        pipe.send(model)
        row, lost = _awaited(pipe, model)
        if lost:
            process.kill()
            process.join()
        yield row


def _awaited(pipe: Connection, model: str) -> tuple[Row, bool]:
    """Return the row, as far as it is known, and whether the process is lost or too slow."""
    row, end = _empty(model), time.monotonic() + _WAIT_S
    while pipe.poll(max(0.0, end - time.monotonic())):
        try:
            row, whole = pipe.recv()
        except EOFError:
            return _broken(row, f"the process died, or computed for over {_LIMIT_S} s"), True
        if whole:
            return row, False
    return _broken(row, f"not done in {_WAIT_S} s"), True


def _broken(row: Row, why: str) -> Row:
    """Return the row with `why` as its first missing verdict."""
    broken = dataclasses.replace(row)
    setattr(broken, next(name for name, verdict in row.verdicts().items() if not verdict), why)
    return broken


def _empty(model: str) -> Row:
    return Row(model, family_of(model), YES if timm.is_model_pretrained(model) else "no")


def _work(pipe: Connection) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable()  # the exporter writes pages of messages
    while True:
        try:
            model = pipe.recv()
        except EOFError:
            return
        # A busy machine takes longer, but not more processor time.
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + _LIMIT_S, most))
        for row, whole in _grown(model):
            pipe.send((row, whole))


def _grown(model: str) -> Iterator[tuple[Row, bool]]:
    """Yield the row after each stage, and whether it is complete."""
    start = time.process_time()
    torch.manual_seed(0)
    row = _empty(model)
    student = Timm(model=model)
    try:
        requirements = _brief_for(student)
        network = untrained(student, requirements)
    except Exception as error:  # noqa: BLE001  whatever it is: recorded
        row.trains = _reason(error)
        yield row, True
        return
    row.image_size = requirements.image_size
    counts = count_operations(network, requirements.image_shape)
    row.parameters, row.macs = int(counts[PARAMETERS.cost]), int(counts[MACS.cost])
    row.trains = _verdict(partial(_train, student, requirements))
    yield row, False
    for ratio, name in zip(_RATIOS, ("prunes_25", "prunes_50", "prunes_75"), strict=True):
        setattr(row, name, _verdict(partial(_prune, row, network, student, requirements, ratio)))
        yield row, False
    _ship(row, network, requirements)
    row.seconds = round(time.process_time() - start, 1)
    yield row, True


def _verdict(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  whatever it is: recorded
        return _reason(error)
    return YES


def _reason(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {shortened(error)}".split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def _brief_for(student: Timm) -> StudentRequirements:
    """Return requirements with 64 pixels, or the model's own size if it can't take those."""
    own = int(timm.get_pretrained_cfg(student.model).input_size[-1])  # type: ignore[union-attr]
    for size in (SIZE, own):
        requirements = StudentRequirements(
            classes=CLASSES, channels=3, image_size=size, budget=Budget(), target=TargetSettings()
        )
        try:
            _check_logits(requirements.build(student).eval()(requirements.example()), requirements)
        except Exception:
            if size == own:
                raise
        else:
            return requirements
    raise AssertionError


def _check_logits(logits: Tensor, requirements: StudentRequirements) -> None:
    if logits.shape[1:] != (requirements.classes,) or not logits.isfinite().all():
        raise ValueError(
            f"logits must be finite, [batch, {requirements.classes}], got {logits.shape}"
        )


def _step(network: nn.Module, requirements: StudentRequirements) -> Tensor:
    """Train on a batch for one step, and return the batch's logits."""
    images = torch.randn(BATCH, *requirements.image_shape)
    labels = torch.arange(BATCH) % requirements.classes
    fit = Standard().fit(network.train(), epochs=2, steps_per_epoch=10)
    functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    fit.optimizer.step()
    with torch.inference_mode():
        logits: Tensor = network.eval()(images)
    _check_logits(logits, requirements)
    return logits


def _train(student: Timm, requirements: StudentRequirements) -> None:
    network = requirements.build(student)
    before = copy.deepcopy(network.state_dict())
    # If the last layer begins at zero, the other layers get no gradient in the first step.
    _step(network, requirements)
    _step(network, requirements)
    moved = [not torch.equal(value, before[key]) for key, value in network.state_dict().items()]
    if sum(moved) < len(moved) / 2:
        raise ValueError(f"a step must move the weights, but moved {sum(moved)} of {len(moved)}")


def _prune(
    row: Row, network: nn.Module, student: Timm, requirements: StudentRequirements, ratio: float
) -> None:
    pruned, cuts = Magnitude(ratio=ratio).apply(network, requirements.example())
    parameters = int(count_operations(pruned, requirements.image_shape)[PARAMETERS.cost])
    if not cuts or parameters >= row.parameters:
        raise ValueError("pruning must leave fewer parameters, but cut nothing")
    if ratio == 0.5:
        row.left_50 = round(parameters / row.parameters, 3)
        again = requirements.build(student, blank=True)
        replay_cuts(again, requirements.example(), cuts)
        again.load_state_dict(pruned.state_dict())
        with torch.inference_mode():
            same = torch.equal(
                again.eval()(requirements.example()), pruned.eval()(requirements.example())
            )
        if not same:
            raise ValueError("replayed cuts must give the same network, but its logits differ")
    _step(pruned, requirements)


def _ship(row: Row, network: nn.Module, requirements: StudentRequirements) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        row.exports = _verdict(partial(_export, row, network, requirements, path))
        if row.exports != YES:
            row.quantizes = "not exported"
            return
        row.quantizes = _verdict(partial(_quantize, row, requirements, path, small))
        files = [path, small] if row.quantizes == YES else [path]
        timed = measure_latency([_loaded(file) for file in files])
        row.float_ms = round(timed[0].median_ms, 3)
        row.int8_ms = round(timed[-1].median_ms, 3) if len(timed) > 1 else 0.0


def _loaded(path: Path) -> ServedModel:
    return runtime_of_file(path).load(path, threads=1)


def _export(row: Row, network: nn.Module, requirements: StudentRequirements, path: Path) -> None:
    export_onnx(network, path, image_shape=requirements.image_shape)
    row.float_bytes = path.stat().st_size
    images = torch.randn(3, *requirements.image_shape)
    with torch.inference_mode():
        expected = network.eval()(images).numpy()
    found = _loaded(path).predict(images.numpy())
    spread = float(np.abs(expected).max()) + 1e-6
    if not np.abs(found - expected).max() < 1e-2 * spread:
        raise ValueError(
            f"the file must give torch's logits, but differs by more than 1% of {spread}"
        )


def _quantize(row: Row, requirements: StudentRequirements, path: Path, small: Path) -> None:
    images = torch.randn(8, *requirements.image_shape).numpy()
    Int8Static().convert(path, small, calibration=[images])
    row.int8_bytes = small.stat().st_size
    if not np.isfinite(_loaded(small).predict(images)).all():
        raise ValueError("an int8 student must give finite logits, but did not")


if __name__ == "__main__":
    main()
