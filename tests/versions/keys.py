"""Every key of what is kept, by what is kept under it. Printed as JSON where this file is run."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from torch import nn

import search.versions
from search.config.data_settings import DataSettings
from search.config.teacher_training import TeacherTraining
from search.cost_model.cost_setting import setting_of
from search.cost_model.cost_table import shape_of
from search.data.prepare import prepared_key
from search.pipeline.lineage import Lineage
from search.teachers.finetune import TeacherTask, finetuned_key
from search.teachers.logits_cache import logits_key
from search.teachers.prepared import Teacher
from spaces.distillation.fitnets import FitNets
from spaces.distillation.soft_targets import SoftTargets
from spaces.pruning.depth import Depth
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.versions.problem import VIEWS, dataset, recipe, requirements, teacher_context

LINEAGE = Lineage(data="noise", views=VIEWS, teacher="teacher", device="cpu", metric="accuracy")


def all_keys() -> dict[str, str]:
    """Keys of stages (by their recipe), of costs, of teachers, of their logits and of data."""
    trained = {
        "trained": recipe(),
        "with mixup": recipe(training=Standard(mixup=0.2)),
        "with cutmix": recipe(training=Standard(cutmix=0.2)),
        "with erasing": recipe(training=Standard(erasing=0.2)),
        "with ema": recipe(training=Standard(ema=0.9)),
        "with bce": recipe(training=Standard(label_loss="bce")),
        "with class weights": recipe(training=Standard(class_weights="inverse")),
        "with balanced sampling": recipe(training=Standard(sampling="balanced")),
        "with drop path": recipe(training=Standard(drop_path=0.2)),
        "pretrained": recipe(student=Timm(pretrained=True)),
        "on logits": recipe(distillation=SoftTargets()),
        "on features": recipe(distillation=FitNets()),
    }
    network = nn.Linear(2, 2, bias=False)
    nn.init.ones_(network.weight)
    teacher = Teacher("teacher", network, "teacher", "cpu")
    training = TeacherTraining()
    task = TeacherTask(training=training, schedule=training.schedule(from_weights=False))
    room = teacher_context(Path("cache"), progress=print)
    return {
        **{name: LINEAGE.training_key(one, 0) for name, one in trained.items()},
        "pruned": LINEAGE.pruning_key(recipe(pruning=Magnitude()), 0),
        "pruned on features": LINEAGE.pruning_key(
            recipe(pruning=Magnitude(), distillation=FitNets()), 0
        ),
        "tuned": LINEAGE.tuning_key(recipe(quantization=Int8Qat()), 0),
        "cost": _cost(recipe()),
        "cost cut evenly": _cost(recipe(pruning=Magnitude())),
        "cost cut in depth": _cost(recipe(pruning=Depth())),
        "cost in int8": _cost(recipe(quantization=Int8Static())),
        "teacher": finetuned_key(network, task, room),
        "teacher by a probe": finetuned_key(network, replace(task, probes=True), room),
        "taught teacher": finetuned_key(network, replace(task, taught_by=teacher), room),
        "logits": logits_key(teacher, dataset(), VIEWS),
        "data": prepared_key(DataSettings(source="digits"), 0),
    }


def _cost(one: Recipe) -> str:
    setting = setting_of(requirements(), processor="processor")
    return f"{setting} {shape_of(one)}"


if __name__ == "__main__":
    # Where our files were read from, so that whoever asks knows whose keys these are.
    root = Path(search.versions.__file__).parents[1]
    json.dump({**all_keys(), "our files": str(root)}, sys.stdout)
