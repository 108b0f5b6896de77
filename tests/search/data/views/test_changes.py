"""Each change of a view, compared with torchvision's or worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torchvision.transforms.v2 import functional as torchvision

from search.data.views import color
from search.data.views.augmentation import LEVELS, Augmentation
from search.data.views.crops import crops_of
from search.data.views.draws import Decision, Draws
from search.data.views.erasing import with_erased_rectangle
from search.data.views.geometry import turn_matrices, warped
from search.data.views.policy import Kind, Operation, drawn_operations
from search.data.views.view import View, Views

MANY = torch.arange(4000)
DRAWS = Draws.of(MANY, number=3, seed=1)


def images(number: int = 8, channels: int = 3, size: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (number, channels, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def operation(kind: Kind, strength: float, number: int = 8) -> Operation:
    return Operation(torch.full((number,), int(kind)), torch.full((number,), strength))


@pytest.mark.parametrize(
    ("change", "reference"),
    [
        (color.with_brightness, torchvision.adjust_brightness),
        (color.with_contrast, torchvision.adjust_contrast),
        (color.with_saturation, torchvision.adjust_saturation),
        (color.with_sharpness, torchvision.adjust_sharpness),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_a_colour_changes_as_in_torchvision(change, reference, channels, factor):
    given = images(channels=channels)
    found = change(given.float(), torch.full((8,), factor))
    assert (found - reference(given, factor).float()).abs().max() < 2  # it rounds in between


@pytest.mark.parametrize(("lost", "kept"), [(0.0, 8), (2.0, 6), (6.0, 2)])
def test_values_lose_their_lowest_bits_as_in_torchvision(lost, kept):
    found = color.posterized(images().float(), torch.full((8,), lost))
    assert torch.equal(found, torchvision.posterize(images(), kept).float())


def test_large_values_are_inverted_as_in_torchvision():
    found = color.solarized(images().float(), torch.full((8,), 255.0 - 100))
    assert torch.equal(found, torchvision.solarize(images(), 100).float())


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        (Kind.AUTOCONTRAST, torchvision.autocontrast),
        (Kind.EQUALIZE, torchvision.equalize),
        (Kind.IDENTITY, torch.clone),
    ],
)
def test_operations_without_strength_are_torchvisions(kind, reference):
    found = color.recolored(images().float(), [operation(kind, 0.0)])
    assert torch.equal(found, reference(images()).float())


def test_each_image_has_its_own_operation():
    given = images(3).float()
    mixed = Operation(
        torch.tensor([Kind.SOLARIZE, Kind.IDENTITY, Kind.BRIGHTNESS]),
        torch.tensor([255.0, 0.0, -1.0]),
    )
    found = color.recolored(given, [mixed])
    assert torch.equal(found[0], 255 - given[0])
    assert torch.equal(found[1], given[1])
    assert not found[2].any()


def turned(given: torch.Tensor, kind: Kind, strength: float) -> torch.Tensor:
    draws = Draws.of(torch.arange(len(given)), number=0, seed=0)
    matrices = turn_matrices(draws, Augmentation(), [operation(kind, strength, len(given))])
    assert matrices is not None
    return warped(given, matrices, given.shape[-1]).round().byte()


def test_a_quarter_turn_turns_pixels():
    found = turned(images(), Kind.ROTATE, 90.0)
    assert torch.equal(found, images().rot90(1, (2, 3))) or torch.equal(
        found, images().rot90(-1, (2, 3))
    )


def test_a_translation_moves_pixels_by_a_share_of_the_side():
    given = images()
    found = turned(given, Kind.TRANSLATE_X, 0.25)
    assert torch.equal(found[..., :9], given[..., 3:])
    assert torch.equal(turned(given, Kind.TRANSLATE_Y, -0.25)[:, :, 3:], given[:, :, :9])


def test_a_shear_moves_rows_by_their_distance_from_the_middle():
    line = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    line[..., 6] = 255
    found = turned(line, Kind.SHEAR_X, 0.5)[0, 0].float()
    centres = (found * torch.arange(12)).sum(1) / found.sum(1)
    # In row r, the line is half as far from its column as the row is from the middle.
    expected = 6 - 0.5 * (torch.arange(12) - 5.5)
    assert (centres - expected)[2:10].abs().max() < 0.05


def test_rotations_are_uniform_up_to_the_largest():
    matrices = turn_matrices(DRAWS, Augmentation(rotation=30.0), ())
    assert matrices is not None
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
    assert 29 < angles.abs().max() <= 30.01
    assert angles.mean().abs() < 1
    assert angles.std() == pytest.approx(30 / math.sqrt(3), rel=0.05)


def test_an_erased_rectangle_has_the_wanted_area_and_the_images_mean():
    given = images(400, 3, 40).float()
    draws = Draws.of(torch.arange(400), number=0, seed=0)
    found = with_erased_rectangle(given, draws, probability=1.0)
    changed = (found != given).any(1)
    shares = changed.flatten(1).float().mean(1)
    assert shares.min() > 0.01
    assert shares.max() < 0.36
    assert shares.mean() == pytest.approx((0.02 + 1 / 3) / 2, rel=0.1)
    first = found[0, 0][changed[0]]
    assert (first - given[0, 0].mean()).abs().max() < 1e-3
    rows, columns = changed[0].any(1).nonzero()[:, 0], changed[0].any(0).nonzero()[:, 0]
    assert changed[0][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_the_share_of_erased_images_is_the_probability():
    given = images(400, 1, 8).float()
    draws = Draws.of(torch.arange(400), number=1, seed=0)
    found = with_erased_rectangle(given, draws, probability=0.3)
    assert (found != given).flatten(1).any(1).float().mean() == pytest.approx(0.3, abs=0.07)


def test_crops_have_areas_and_ratios_within_their_ranges():
    augmentation = Augmentation(scale=(0.2, 0.6), ratio=(0.5, 2.0))
    crops = crops_of(MANY, View(0, 0, augmentation), size=32)
    areas = torch.tensor([crop.area for crop in crops])
    ratios = torch.tensor([crop.ratio for crop in crops])
    assert 0.2 <= areas.min() < 0.21
    assert 0.59 < areas.max() <= 0.6
    assert 0.5 <= ratios.min() < 0.51
    assert ratios.log().mean().abs() < 0.03
    boxes = [crop.box(300, 200) for crop in crops]
    assert all(
        left >= 0 and top >= 0 and left + width <= 300 and top + height <= 200
        for left, top, width, height in boxes
    )
    measured = torch.tensor([width * height / 60_000 for _, _, width, height in boxes])
    assert (
        measured - areas
    ).abs().max() < 0.21  # clipped where a wide crop is wider than the image
    assert (measured - areas).abs().median() < 0.002


def test_crops_depend_on_the_image_and_not_on_its_neighbours():
    view = View(1, 5, Augmentation(shift=0.25, flip=True))
    whole = crops_of(torch.arange(50), view, size=8)
    assert crops_of(torch.tensor([41, 7]), view, size=8) == [whole[41], whole[7]]
    assert 0.25 < sum(crop.flip for crop in whole) / 50 < 0.75


def test_shifts_are_whole_pixels_of_the_students_images():
    crops = crops_of(MANY, View(1, 5, Augmentation(shift=0.25)), size=8)
    assert {crop.right for crop in crops} == {place / 8 for place in range(-2, 3)}


def test_trivial_augment_draws_each_operation_and_strength():
    (found,) = drawn_operations(DRAWS, Augmentation(policy="trivial"))
    counts = found.kinds.bincount(minlength=len(Kind))
    assert counts.min() > 0.7 * len(MANY) / len(Kind)
    rotations = found.strengths[found.of(Kind.ROTATE)]
    assert rotations.max() == 135
    assert rotations.min() == -135
    assert len(rotations.unique()) >= 58  # of 61
    bits = found.strengths[found.of(Kind.POSTERIZE)]
    assert (bits.min(), bits.max()) == (0, 6)


def test_rand_augment_draws_operations_of_one_magnitude():
    augmentation = Augmentation(policy="rand", operations=3, magnitude=10)
    found = drawn_operations(DRAWS, augmentation)
    assert len(found) == 3
    assert (found[0].kinds == found[1].kinds).float().mean() < 0.2
    assert set(found[0].strengths[found[0].of(Kind.ROTATE)].tolist()) == {-10.0, 10.0}
    assert set(found[0].strengths[found[0].of(Kind.SOLARIZE)].tolist()) == {85.0}


def test_draws_are_uniform_and_below_their_upper_end():
    values = DRAWS.uniform(Decision.AREA, 2.0, 4.0)
    assert values.min() >= 2
    assert values.max() < 4
    assert values.mean() == pytest.approx(3, abs=0.03)
    assert values.var() == pytest.approx(4 / 12, rel=0.05)


def test_draws_for_other_purposes_are_independent():
    both = torch.stack([DRAWS.uniform(purpose) for purpose in Decision])
    apart = torch.corrcoef(both) - torch.eye(len(both))
    assert apart.abs().max() < 0.07


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_told_with_all_that_it_does(level):
    augmentation = Augmentation.of_level(level, may_flip=True, knobs={"rotation": 12.5})
    assert level in str(augmentation)
    assert "12.5°" in str(augmentation)
    assert ("mirrored at random" in str(augmentation)) is (level != "none")
    assert ("TrivialAugment" in str(augmentation)) is (level == "strong")


def test_a_knob_takes_the_place_of_the_levels():
    given = Augmentation.of_level("strong", may_flip=True, knobs={"flip": False, "policy": "none"})
    assert (given.flip, given.policy, given.erasing) == (False, "none", 0.25)
    assert not Augmentation.of_level("light", may_flip=False, knobs={}).flip


def test_a_key_tells_what_changes_pixels_and_nothing_else():
    plain = Augmentation(shift=0.1)
    assert plain.key() == replace(plain, level="light").key() == replace(plain, magnitude=20).key()
    rand = replace(plain, policy="rand")
    assert len({str(one.key()) for one in (plain, rand, replace(rand, magnitude=20))}) == 3


def test_views_repeat_after_their_number():
    views = Views(seed=1, augmentation=Augmentation(), count=3)
    numbers = [views.in_epoch(epoch).number for epoch in range(5)]
    assert numbers == [0, 1, 2, 0, 1]
    assert [views.endless().in_epoch(epoch).number for epoch in range(5)] == [*range(5)]


def test_no_student_sees_a_view_of_a_teachers_training():
    teachers = Views.of_teacher(seed=1, augmentation=Augmentation())
    assert teachers.in_epoch(0).number > 1_000_000
