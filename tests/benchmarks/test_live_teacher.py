"""A teacher that is asked in every step, beside its logits that were computed once."""

from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.live_teacher import LiveSpec
from search.config.study import Study
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import open_context
from search.progress import SilentCallback


def test_a_live_teacher_says_of_each_view_what_its_cached_logits_say(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": stripes_file, "image_size": 32, "flip": False},
            "teacher": {"model": "test_resnet", "train": {"epochs": 1, "batch_size": 16}},
            "space": {
                "student": {"timm": {"model": ["test_resnet"]}},
                "distillation": ["soft_targets"],
            },
            "search": {"views": 2},
            "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
        }
    )
    cached, _ = prepare_context(study, SilentCallback())
    live = LiveSpec.of(cached, study)
    places = torch.tensor([3, 0, 7])
    views = [cached.views.in_epoch(epoch) for epoch in range(2)]
    for view in views:
        known, asked = (open_context(spec).targets for spec in (cached, live))
        assert known
        assert asked
        assert torch.allclose(known(view, places), asked(view, places), atol=0.02)
    assert not torch.allclose(*(asked(view, places) for view in views), atol=0.02)
    assert open_context(replace(live)) is open_context(live)
