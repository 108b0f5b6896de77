"""How networks take images without gradients."""

import timm
import torch

from search.training.inference import inference_batch, laid_out


def test_larger_images_are_taken_fewer_at_a_time_on_a_processor() -> None:
    assert [inference_batch(side) for side in (28, 64, 160, 1024)] == [256, 128, 20, 1]
    assert inference_batch(160, device="cuda") == 256


def test_weights_that_were_laid_out_can_be_trained_and_saved_again() -> None:
    network = timm.create_model("test_resnet", num_classes=3)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    stem = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.inference_mode(), laid_out([network]):
        assert stem.weight.is_contiguous(memory_format=torch.channels_last)
    for name, weight in network.state_dict().items():
        assert weight.is_contiguous()
        assert not weight.is_inference()
        assert torch.equal(weight, before[name])
    network(torch.zeros(2, 3, 32, 32)).sum().backward()
