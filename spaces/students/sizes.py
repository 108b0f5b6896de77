"""How large timm's models are, as timm defines them: what a study file's filters ask for."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import timm
import torch
from torch import nn

from spaces.counting import count_macs, count_parameters

# Counted by benchmarks/timm_sizes.py: building a thousand models takes minutes.
SIZES_FILE = Path(__file__).with_name("timm_sizes.csv")


@dataclass(frozen=True)
class Size:
    """A timm model's size, as timm defines it.

    Attributes:
        parameters: with timm's own number of classes.
        macs: multiply-accumulates for one image of the size that timm names for it.
    """

    parameters: int
    macs: int


@cache
def known_sizes() -> Mapping[str, Size]:
    """Sizes that were counted before, by the model's name."""
    with SIZES_FILE.open(newline="") as file:
        return {
            row["model"]: Size(int(row["parameters"]), int(row["macs"]))
            for row in csv.DictReader(file)
        }


@cache
def parameters_of(model: str) -> int:
    """Its parameters; those of a model that is new to the table are counted now."""
    known = known_sizes().get(model)
    return known.parameters if known else count_parameters(_without_weights(model))


@cache
def macs_of(model: str) -> int:
    """Its MACs; those of a model that is new to the table are counted now, in a second."""
    known = known_sizes().get(model)
    return known.macs if known else _count_macs(_without_weights(model))


def family_of(model: str) -> str:
    """The module of timm that defines it, such as `mobilenetv3`."""
    return timm.model_entrypoint(model).__module__.rpartition(".")[2]


def count_size(model: str) -> Size:
    """Its size, counted without making its weights."""
    network = _without_weights(model)
    return Size(count_parameters(network), _count_macs(network))


def _count_macs(network: nn.Module) -> int:
    """Multiply-accumulates of a timm model that has no weights, for one image."""
    size = network.pretrained_cfg["input_size"]  # type: ignore[index]  # timm's models have it
    return count_macs(network, torch.empty(1, *size, device="meta"))


def _without_weights(model: str) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(model)
