"""A made-up problem on the real space: 32 timm networks with their true parameters and MACs.

Accuracy is a smooth function of the recipe with the known properties of such problems: it saturates
in size; the best learning rate differs between families, and rates far above it fail; soft targets
help small students the most; pruning and 8 bits hurt some families more than others; and each
training gives a slightly different result. Nothing is fitted to measurements; a recorded table
serves that purpose.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from benchmarks.problem import Problem, Training
from search.objectives.budget import Budget
from search.objectives.limits import LATENCY, MACS, PARAMETERS, SIZE
from search.records import Cost
from search.surrogate.features import family
from spaces.distillation.soft_targets import SoftTargets
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace

_EPOCHS = 8

# Thousands of parameters and millions of multiply-adds at 32×32 pixels, one channel, ten classes;
# counted with timm 1.0.31.
_STUDENTS = {
    "test_resnet": (373, 4.03),
    "test_efficientnet": (101, 2.18),
    "test_byobnet": (201, 1.14),
    "test_convnext": (207, 1.20),
    "test_vit": (267, 1.31),
    "lcnet_035": (376, 0.75),
    "lcnet_050": (612, 1.22),
    "lcnet_075": (1089, 2.42),
    "lcnet_100": (1685, 3.89),
    "mobilenetv3_small_050": (578, 0.82),
    "mobilenetv3_small_075": (1026, 1.51),
    "mobilenetv3_small_100": (1527, 2.10),
    "mobilenetv3_large_075": (2725, 4.86),
    "mobilenetv4_conv_small_035": (636, 1.23),
    "mobilenetv4_conv_small_050": (970, 1.76),
    "mobilenetv4_conv_small": (2505, 4.84),
    "mnasnet_small": (761, 1.41),
    "tinynet_e": (774, 1.73),
    "tinynet_d": (1069, 2.08),
    "tinynet_c": (1188, 2.84),
    "resnet10t": (4927, 22.28),
    "resnet14t": (8052, 34.09),
    "resnet18": (11175, 35.41),
    "regnetx_002": (2318, 3.91),
    "regnety_002": (2797, 4.38),
    "ghostnet_050": (1318, 1.78),
    "efficientnet_b0": (4019, 8.33),
    "mobilenetv2_035": (408, 1.12),
    "mobilenetv2_050": (700, 1.90),
    "semnasnet_050": (813, 2.08),
    "repghostnet_050": (1045, 1.53),
    "efficientnet_lite0": (3383, 7.70),
}


@dataclass(frozen=True)
class _Family:
    """How one kind of network behaves; all but `delay_ms` in logits of accuracy or in decades."""

    quality: float = 0.0
    rate: float = 0.0  # decades by which its best learning rate is higher
    pruning_loss: float = 1.0
    int8_loss: float = 0.3
    delay_ms: float = 0.12


_FAMILIES = {
    "resnet": _Family(quality=0.15, pruning_loss=0.7, int8_loss=0.05, delay_ms=0.03),
    "resnet10t": _Family(quality=0.1, pruning_loss=0.6, int8_loss=0.04, delay_ms=0.05),
    "resnet14t": _Family(quality=0.1, pruning_loss=0.6, int8_loss=0.04, delay_ms=0.06),
    "resnet18": _Family(quality=0.1, pruning_loss=0.5, int8_loss=0.04, delay_ms=0.06),
    "byobnet": _Family(quality=0.1, pruning_loss=0.9, int8_loss=0.1, delay_ms=0.03),
    "convnext": _Family(quality=-0.2, rate=-0.4, int8_loss=0.2, delay_ms=0.05),
    "vit": _Family(quality=-0.6, rate=-0.5, pruning_loss=1.5, int8_loss=0.1, delay_ms=0.06),
    "efficientnet": _Family(quality=0.1, rate=0.1, int8_loss=0.25, delay_ms=0.08),
    "lcnet": _Family(quality=-0.05, int8_loss=0.4, delay_ms=0.06),
    "mobilenetv3": _Family(quality=-0.15, rate=0.2, pruning_loss=1.2, int8_loss=0.6),
    "mobilenetv4": _Family(quality=0.05, pruning_loss=0.9, int8_loss=0.15, delay_ms=0.09),
    "mobilenetv2": _Family(quality=0.0, rate=0.1, int8_loss=0.35, delay_ms=0.1),
    "regnetx": _Family(quality=0.05, pruning_loss=0.8, int8_loss=0.25, delay_ms=0.1),
    "regnety": _Family(quality=0.1, pruning_loss=0.9, int8_loss=0.3, delay_ms=0.13),
    "tinynet": _Family(quality=0.1, pruning_loss=1.1, int8_loss=0.35, delay_ms=0.14),
}


def synthetic_problem() -> Problem:
    """Return the problem. 22% of random recipes fit its budget of 400 KB and 0.4 ms."""
    space = SearchSpace.from_config(
        {
            "student": {"timm": {"model": list(_STUDENTS)}},
            "training": {
                "standard": {
                    "epochs": _EPOCHS,
                    "optimizer": ["adamw", "sgd"],
                    "learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
                    "weight_decay": {"low": 0.0, "high": 0.2},
                }
            },
            "distillation": {
                "labels": None,
                "soft_targets": {
                    "temperature": {"low": 1, "high": 12, "log": True},
                    "weight": {"low": 0.1, "high": 1.0},
                },
            },
            "pruning": {
                "none": None,
                "magnitude": {
                    "ratio": {"low": 0.1, "high": 0.8},
                    "recovery": {"low": 0.0, "high": 1.0},
                },
            },
            "quantization": ["float32", "int8_static"],
        }
    )
    budget = Budget(size=400_000, latency="0.4ms")
    return Problem(space, budget, least_accuracy=0.5, predict=cost_of, train=train)


def cost_of(recipe: Recipe) -> Cost:
    """Return the cost: bytes follow the parameters, and latency grows slower than the MACs."""
    thousands, millions = _STUDENTS[_model(recipe)]
    kept = (1 - _ratio(recipe)) ** 2
    int8 = recipe.quantization.name == "int8_static"
    kind = _kind(recipe)
    size_kb = thousands * kept * 4 * (0.28 if int8 else 1.0) + (45 if int8 else 25)
    latency_ms = (kind.delay_ms + 0.06 * (millions * kept) ** 0.75) * (1.08 if int8 else 1.0)
    return {
        SIZE.cost: round(1000 * size_kb),
        PARAMETERS.cost: round(1000 * thousands * kept),
        MACS.cost: round(1e6 * millions * kept),
        LATENCY.cost: latency_ms,
    }


def train(recipe: Recipe, seed: int) -> Training:
    """Return the accuracy after each epoch and the artifact's."""
    noise = np.random.default_rng([seed, int(recipe.digest()[:8], 16)])
    float_logit = _float_logit(recipe) + 0.04 * noise.standard_normal()
    shares = [(epoch + 1) / _EPOCHS for epoch in range(_EPOCHS)]
    curve = [
        _share(float_logit - 1.6 * (1 - share) ** 1.3 + 0.05 * noise.standard_normal())
        for share in shares
    ]
    return Training(_share(float_logit - _compression_loss(recipe)), tuple(curve))


def _float_logit(recipe: Recipe) -> float:
    thousands, millions = _STUDENTS[_model(recipe)]
    kept = (1 - _ratio(recipe)) ** 2
    capacity = 0.5 * math.log10(thousands * kept / 100) + 0.6 * math.log10(millions * kept)
    own = 0.25 * (_fraction(_model(recipe)) - 0.5)
    logit = 2.75 - 1.1 * math.exp(-0.9 * capacity) + _kind(recipe).quality + own
    return logit + _fit_of_training(recipe, capacity) + _gain_of_teacher(recipe, capacity)


def _fit_of_training(recipe: Recipe, capacity: float) -> float:
    values = recipe.training.params()
    sgd = values["optimizer"] == "sgd"
    best = -2.1 - 0.25 * capacity + _kind(recipe).rate + (0.8 if sgd else 0.0)
    away = math.log10(float(values["learning_rate"])) - best
    failing = 4.0 * max(0.0, away - 0.7)
    decay = 0.8 * (float(values["weight_decay"]) - 0.06) ** 2 / 0.1
    return -0.5 * away**2 - failing - decay - (0.08 if sgd else 0.0)


def _gain_of_teacher(recipe: Recipe, capacity: float) -> float:
    if not isinstance(recipe.distillation, SoftTargets):
        return 0.0
    weight, temperature = recipe.distillation.weight, recipe.distillation.temperature
    best = math.log(5.0) - 0.3 * capacity
    fit = 1 - 0.5 * (math.log(temperature) - best) ** 2
    return (0.3 - 0.1 * capacity) * weight * (1.6 - 0.6 * weight) * fit


def _compression_loss(recipe: Recipe) -> float:
    kind = _kind(recipe)
    recovery = float(recipe.pruning.training_share)
    pruning = kind.pruning_loss * _ratio(recipe) ** 2 * (1.1 - 0.6 * math.sqrt(recovery))
    return pruning + (kind.int8_loss if recipe.quantization.name == "int8_static" else 0.0)


def _model(recipe: Recipe) -> str:
    return str(recipe.student.params()["model"])


def _kind(recipe: Recipe) -> _Family:
    return _FAMILIES.get(family(_model(recipe)), _Family())


def _ratio(recipe: Recipe) -> float:
    return float(recipe.pruning.params().get("ratio", 0.0))


def _fraction(name: str) -> float:
    """Return a number from 0 to 1 that is fixed for the name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 16**6


def _share(logit: float) -> float:
    return max(0.1, 1 / (1 + math.exp(-logit)))
