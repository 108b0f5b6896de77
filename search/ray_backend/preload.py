"""Imported by Ray's workers as they start: it imports what trials need, before there is a trial.

So workers import while the driver prepares data and teacher. Nothing here may ask for a GPU: Ray
says only to a worker with a trial which GPU is its own, and CUDA reads that once.
"""

import gc
import logging
import os
from importlib import import_module
from pathlib import Path

from search.ray_backend.worker_marks import CORES_VARIABLE, mark_ready

_MODULES = (
    "search.ray_backend.worker",
    "torch._dynamo",  # torch's optimizers import it
    "onnxruntime",
)


def _import_all() -> None:
    for module in _MODULES:
        import_module(module)
    axes = import_module("spaces.axes.order").AXES
    for axis in axes:
        import_module("spaces.registry").methods(axis.axis)


# OpenMP reads the variable once, when torch loads it. Ray would set it for the first trial.
os.environ.setdefault("OMP_NUM_THREADS", os.environ[CORES_VARIABLE])
# Imports leave no garbage. The collector would look for it during a fifth of their time.
gc.disable()
try:
    _import_all()
except Exception:  # the first trial that needs the module reports the error
    logging.getLogger(__name__).exception("a worker can't import all that trials need")
gc.enable()
mark_ready(Path(os.environ["RAY_TMPDIR"]))
