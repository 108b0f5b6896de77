"""Single weights that are set to zero: which, and what the file saves by it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from search.targets.float_student import FloatStudent
from search.targets.onnx_runtime import OnnxRuntime
from spaces.axes.pruning import Pruning
from spaces.pruning.sparse_2_4 import SparseTwoOfFour
from spaces.pruning.sparse_l1 import SparseL1
from spaces.pruning.sparse_magnitude import SparseMagnitude
from spaces.pruning.structured.masks import keeper, largest, matrices, two_of_four
from spaces.quantization.weight_compression.packed import unpacked
from spaces.students.timm_model import Timm
from tests.messages import naming

SHAPE = (3, 32, 32)


def _network(family: str = "test_resnet") -> nn.Module:
    torch.manual_seed(0)
    network = Timm(model=family).build(classes=4, channels=3, image_size=32).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.05)
    return network


def _kept(mask: Tensor) -> list[int]:
    return mask.int().flatten().tolist()


def test_the_smallest_of_each_weight_go() -> None:
    small, large = torch.tensor([[0.1, -0.4, 0.2, 0.3]]), torch.tensor([[5.0, -6.0, 7.0, 8.0]])
    masks = largest([small, large], 0.5, compete=False)
    assert _kept(masks[small]) == [0, 1, 0, 1]
    assert _kept(masks[large]) == [0, 0, 1, 1]


def test_the_smallest_of_all_weights_go() -> None:
    small, large = torch.tensor([[0.1, -0.4, 9.0, 0.3]]), torch.tensor([[5.0, -6.0, 7.0, 8.0]])
    masks = largest([small, large], 0.5, compete=True)
    assert _kept(masks[small]) == [0, 0, 1, 0]
    assert _kept(masks[large]) == [0, 1, 1, 1]


def test_of_equals_the_first_go() -> None:
    equal = torch.ones(2, 2)
    assert _kept(largest([equal], 0.5, compete=False)[equal]) == [0, 0, 1, 1]


def test_two_of_each_four_inputs_stay() -> None:
    linear = torch.tensor([[1.0, -4.0, 2.0, 3.0, 9.0, 8.0, 7.0, 6.0]])
    assert _kept(two_of_four([linear])[linear]) == [0, 1, 0, 1, 1, 1, 0, 0]


def test_fours_lie_along_the_inputs_of_a_convolution() -> None:
    weight = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = two_of_four([weight])[weight]
    for output, row, column in np.ndindex(2, 3, 3):
        for start in (0, 4):
            four = weight[output, start : start + 4, row, column].abs()
            kept = mask[output, start : start + 4, row, column]
            assert kept.sum() == 2
            assert four[kept].min() >= four[~kept].max()


@pytest.mark.parametrize("inputs", [1, 3, 6])
def test_layers_that_four_does_not_divide_stay_whole(inputs: int) -> None:
    assert not two_of_four([torch.ones(4, inputs, 3, 3)])


def test_a_network_without_fours_is_refused() -> None:
    with pytest.raises(ValueError, match=naming("sparse_2_4", "Sequential")):
        SparseTwoOfFour().apply(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3))


def test_a_keeper_sets_its_zeros_again() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    keep = keeper({weight: torch.tensor([True, False, True, False])})
    for _ in range(2):
        with torch.no_grad():
            weight += 1
        keep()
        assert weight[[1, 3]].tolist() == [0.0, 0.0]
    assert weight[[0, 2]].tolist() == [3.0, 5.0]


def test_rounds_end_at_the_ratio_and_never_bring_a_weight_back() -> None:
    zeros: list[Tensor] = []
    pruning = SparseMagnitude(ratio=0.6, rounds=3)
    for phase in pruning.prune_in_steps(_network(), torch.zeros(1, *SHAPE), losses=None):
        line = torch.cat([w.detach().flatten() for w in matrices(phase.network)])
        zeros.append(line == 0)
    shares = [float(zero.float().mean()) for zero in zeros]
    assert shares == pytest.approx([0.2, 0.4, 0.6], abs=1e-4)
    assert all(bool((late | ~early).all()) for early, late in pairwise(zeros))


def test_the_l1_penalty_is_the_sum_of_magnitudes() -> None:
    pruning = SparseL1(strength=1e-3)
    phase = next(iter(pruning.prune_in_steps(_network(), torch.zeros(1, *SHAPE), losses=None)))
    assert phase.penalty is not None
    expected = sum(w.detach().abs().sum().item() for w in matrices(phase.network))
    assert phase.penalty().item() == pytest.approx(1e-3 * expected, rel=1e-5)


@pytest.mark.parametrize(
    ("pruning", "share"),
    [
        # A bitmap takes 1/32 of a float; names, biases and the graph take the rest.
        (SparseMagnitude(ratio=0.9), 0.1 + 1 / 32),
        (SparseTwoOfFour(), 0.5 + 1 / 32),
    ],
)
def test_the_file_holds_what_is_not_zero_and_a_bitmap(
    pruning: Pruning, share: float, tmp_path: Path
) -> None:
    network = _network("resnet10t")
    zeros, _ = pruning.apply(network, torch.zeros(1, *SHAPE))
    sizes, models = {}, {}
    for name, one in (("dense", network), ("zeros", zeros)):
        student = FloatStudent(one, tmp_path / name, SHAPE, pruning=pruning)
        path = student.in_floats(OnnxRuntime())
        sizes[name] = path.stat().st_size
        models[name] = unpacked(path)
    assert sizes["zeros"] / sizes["dense"] == pytest.approx(share, abs=0.02)
    held = {t.name: numpy_helper.to_array(t) for t in models["zeros"].graph.initializer}
    assert any((value == 0).mean() > 0.45 for value in held.values() if value.size > 1000)
    assert onnx.checker.check_model(models["zeros"]) is None


def test_the_file_gives_back_each_weight_to_the_bit(tmp_path: Path) -> None:
    network, _ = SparseMagnitude(ratio=0.8).apply(_network("test_vit"), torch.zeros(1, *SHAPE))
    student = FloatStudent(network, tmp_path, SHAPE, pruning=SparseMagnitude(ratio=0.8))
    path = student.in_floats(OnnxRuntime())
    held = [numpy_helper.to_array(t) for t in unpacked(path).graph.initializer]
    layer = network.get_submodule("blocks.0.mlp.fc1")
    weight = layer.weight.detach().numpy()  # type: ignore[union-attr, operator]
    assert (weight == 0).mean() > 0.5
    # The exporter turns matrices over.
    assert any(
        np.array_equal(weight, value) or np.array_equal(weight.T, value)
        for value in held
        if value.size == weight.size
    )
