"""Predicts the seconds that the loading of images adds to a training."""

import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

import torch

from search.config.resources import decoding_processes, preparing_cores
from search.config.study import Study
from search.data.dataset import Dataset
from search.data.prepared import open_dataset
from search.data.stored_part import Placement
from search.data.views.view import View

_BATCH = 16
_BATCHES = 5


@dataclass(frozen=True, kw_only=True)
class LoadingTime:
    """The time to load training images.

    Attributes:
        image_s: the seconds of one core for one view of one image.
        processes: the number of processes that decode; 0: the training's own process loads.
        cores: the number of cores of the training.
        on_gpu: whether the training steps leave these cores free.
    """

    image_s: float
    processes: int
    cores: int
    on_gpu: bool = False

    @classmethod
    def measured(cls, dataset: Dataset, study: Study) -> Self:
        """Load some training images in this process; return the time before the first trial."""
        view = View(number=0, seed=study.seed, augmentation=dataset.info.augmentation)
        training = open_dataset(dataset.folder).training
        order = torch.arange(_BATCH * _BATCHES) % len(training)
        durations, start = [], time.perf_counter()
        for _ in training.batches(_BATCH, order=order, view=view):
            durations.append(time.perf_counter() - start)
            start = time.perf_counter()
        return cls(
            image_s=median(durations[1:]) / _BATCH,  # the first batch also opens files
            processes=dataset.decoders.count if _decodes(dataset) and dataset.decoders else 0,
            cores=preparing_cores(),
            on_gpu=study.run.gpus > 0,
        )

    def in_trials(self, study: Study) -> Self:
        """Return the time in a trial, which has the cores of `run.cpus`."""
        cores = study.run.cpus
        processes = decoding_processes(study.data, cores=cores) if self.processes else 0
        return replace(self, processes=processes, cores=cores)

    def with_steps(self, steps_s: float, *, images: int) -> float:
        """Return the seconds of training steps together with the loading of their images.

        Args:
            steps_s: the seconds of the steps alone.
            images: the number of images that the steps use.
        """
        loading_s = images * self.image_s
        if not self.processes:
            return steps_s + loading_s
        if self.on_gpu:
            return max(steps_s, loading_s / self.processes)
        # The steps use all cores, so the processes that decode share these with them.
        return steps_s + loading_s / min(self.processes, self.cores)


def _decodes(dataset: Dataset) -> bool:
    """Return whether students' images are decoded when they are read."""
    return dataset.stored["training"].placement is not Placement.PIXELS
