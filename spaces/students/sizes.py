"""Sizes of timm's models with timm's default settings, for the filters of a study file."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import timm
import torch
from torch import nn

from spaces.counting import count_macs, count_parameters

# benchmarks/timm_sizes.py writes this file, because the construction of all models takes minutes.
SIZES_FILE = Path(__file__).with_name("timm_sizes.csv")


@dataclass(frozen=True)
class Size:
    """The size of a timm model with timm's default settings.

    Attributes:
        parameters: number of parameters, with timm's number of classes.
        macs: multiply-accumulates for one image of the model's default size in timm.
    """

    parameters: int
    macs: int


@cache
def known_sizes() -> Mapping[str, Size]:
    """Return the sizes in the file, by the model's name."""
    with SIZES_FILE.open(newline="") as file:
        return {
            row["model"]: Size(int(row["parameters"]), int(row["macs"]))
            for row in csv.DictReader(file)
        }


@cache
def parameters_of(model: str) -> int:
    """Return the model's number of parameters; count it if the file lacks the model."""
    known = known_sizes().get(model)
    return known.parameters if known else count_parameters(_without_weights(model))


@cache
def macs_of(model: str) -> int:
    """Return the model's MACs; count them, in about a second, if the file lacks the model."""
    known = known_sizes().get(model)
    return known.macs if known else _count_macs(_without_weights(model))


def family_of(model: str) -> str:
    """Return the timm module that defines the model, such as `mobilenetv3`."""
    return timm.model_entrypoint(model).__module__.rpartition(".")[2]


def count_size(model: str) -> Size:
    """Return the model's size; the function creates no weights."""
    network = _without_weights(model)
    return Size(count_parameters(network), _count_macs(network))


def _count_macs(network: nn.Module) -> int:
    """Return the MACs of a timm model for one image of its default size."""
    size = network.pretrained_cfg["input_size"]  # type: ignore[index]  # timm's models have it
    return count_macs(network, torch.empty(1, *size, device="meta"))


def _without_weights(model: str) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(model)
