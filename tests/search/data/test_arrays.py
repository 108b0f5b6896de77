"""Sources that keep their images in arrays: digits, idx files and CIFAR."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from search.errors import DataError
from tests.messages import naming
from tests.search.bombs import deflated_zeros
from tests.search.data.pickles_to_try import SHAPE_OF_POINTERS


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


def ten_labels(number: int) -> np.ndarray:
    return np.arange(number) % 10


# Digits


def test_digits_need_no_file(prepared):
    data = prepared(source="digits", image_size=16)
    assert len(data.info.classes) == 10
    assert (data.info.channels, data.info.augmentation.flip) == (1, False)
    assert sum(vars(data.info.sizes).values()) == 1797
    assert next(data.test.batches(5)).images.shape == (5, 1, 16, 16)


def test_digits_use_the_whole_range_of_a_byte(prepared):
    images = np.concatenate(
        [b.images.numpy() for b in prepared(source="digits").training.batches(99)]
    )
    assert (images.min(), images.max()) == (0, 255)


# idx files


def write_idx(path: Path, values: np.ndarray, *, magic: int | None = None) -> None:
    head = np.array([0x0800 | values.ndim if magic is None else magic, *values.shape], dtype=">u4")
    content = head.tobytes() + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def mnist(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, number in (("train", 60), ("t10k", 20)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", pixels(number, 9, 9))
        write_idx(folder / f"{part}-labels-idx1-ubyte", ten_labels(number))
    return folder


@pytest.mark.parametrize(("source", "first"), [("mnist", "0"), ("fashion_mnist", "T-shirt/top")])
def test_idx_files_are_read_compressed_or_not(mnist, prepared, source, first):
    info = prepared(source=source, path=mnist).info
    assert info.classes[0] == first
    assert (info.sizes.training, info.sizes.validation, info.sizes.test) == (50, 10, 20)


def test_the_pixels_of_idx_files_are_kept(mnist, prepared):
    data = prepared(source="mnist", path=mnist, image_size=9)
    assert np.array_equal(next(data.test.batches(20)).images[:, 0].numpy(), pixels(20, 9, 9))


def test_a_missing_idx_file_is_named(mnist, prepared):
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    names = ("t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte")
    with pytest.raises(DataError, match=naming("data.path", mnist, *names)):
        prepared(source="mnist", path=mnist)


def test_an_idx_file_with_another_beginning_is_refused(mnist, prepared):
    write_idx(mnist / "train-labels-idx1-ubyte", ten_labels(60), magic=0x0803)
    with pytest.raises(DataError, match=naming("train-labels-idx1-ubyte", "0x00000801")):
        prepared(source="mnist", path=mnist)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("kept", [0, 3, 40])
def test_a_cut_idx_file_is_refused(mnist, prepared, name, kept):
    path = mnist / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=naming(path)):
        prepared(source="mnist", path=mnist)


def test_an_idx_file_that_is_too_long_is_refused(mnist, prepared):
    path = mnist / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(DataError, match=naming(path, 60)):
        prepared(source="mnist", path=mnist)


def test_an_idx_head_that_announces_terabytes_is_refused(mnist, prepared):
    head = np.array([0x0803, 2**31, 2**31, 2**31], dtype=">u4")
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head.tobytes()))
    with pytest.raises(DataError, match=naming("train-images-idx3-ubyte.gz", 2**31)):
        prepared(source="mnist", path=mnist)


def test_fault_36_an_idx_file_of_three_megabytes_that_holds_three_gigabytes_is_refused(
    mnist, prepared
):
    head = np.array([0x0803, 3 * 2**20, 32, 32], dtype=">u4").tobytes()
    path = mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(deflated_zeros(3 * 1024, first=head, wbits=31))
    with pytest.raises(DataError, match=naming(path, "3,221,225,472")):
        prepared(source="mnist", path=mnist)


def test_labels_that_are_fewer_than_the_images_are_refused(mnist, prepared):
    write_idx(mnist / "train-labels-idx1-ubyte", ten_labels(59))
    with pytest.raises(DataError, match=naming(59, 60)):
        prepared(source="mnist", path=mnist)


def test_fault_23_labels_out_of_range_are_refused(mnist, prepared):
    write_idx(mnist / "train-labels-idx1-ubyte", ten_labels(60) + 1)
    with pytest.raises(DataError, match=naming("labels", 0, 9, 6, 10)):
        prepared(source="mnist", path=mnist)


# CIFAR

CIFAR10 = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def write_pickle(path: Path, content: object, protocol: int = 2) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


@pytest.fixture
def cifar10(tmp_path):
    folder = tmp_path / "cifar" / "cifar-10-batches-py"
    for name in CIFAR10:
        batch = {b"data": pixels(20, 3072), b"labels": ten_labels(20).tolist()}
        write_pickle(folder / name, batch)
    write_pickle(folder / "batches.meta", {b"label_names": [b"class %d" % i for i in range(10)]})
    return tmp_path / "cifar"


def test_cifar10_is_read_from_its_pickles(cifar10, prepared):
    data = prepared(source="cifar10", path=cifar10, image_size=32)
    assert data.info.classes[3] == "class 3"
    assert vars(data.info.sizes) == {"training": 80, "validation": 20, "test": 20}
    expected = pixels(20, 3072).reshape(20, 3, 32, 32)
    assert np.array_equal(next(data.test.batches(20)).images.numpy(), expected)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_pickle_is_read(cifar10, prepared, protocol):
    batch = {"data": pixels(20, 3072), "labels": ten_labels(20).tolist()}
    write_pickle(cifar10 / "cifar-10-batches-py" / "test_batch", batch, protocol)
    assert prepared(source="cifar10", path=cifar10).info.sizes.test == 20


def test_what_python_2_wrote_is_read(cifar10, prepared):
    # As in the archive itself: numpy's old names, and text as Python 2's strings.
    path = cifar10 / "cifar-10-batches-py" / "test_batch"
    text = path.read_bytes()
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    assert new in text
    path.write_bytes(text.replace(new, old))
    assert prepared(source="cifar10", path=cifar10).info.sizes.test == 20


class _Attack:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_fault_19_a_pickle_that_calls_a_function_is_refused_and_not_run(
    cifar10, prepared, protocol
):
    mark = cifar10 / "mark"
    write_pickle(cifar10 / "cifar-10-batches-py" / "test_batch", _Attack(mark), protocol)
    with pytest.raises(
        DataError, match=r"test_batch.*'(__builtin__\.getattr|pathlib\.Path\.touch)'"
    ):
        prepared(source="cifar10", path=cifar10)
    assert not mark.exists()


def test_a_pickle_of_python_objects_in_an_array_runs_nothing(cifar10, prepared):
    mark = cifar10 / "mark"
    batch = {b"data": np.array([_Attack(mark)], dtype=object), b"labels": [0]}
    write_pickle(cifar10 / "cifar-10-batches-py" / "test_batch", batch)
    with pytest.raises(DataError, match=naming("test_batch", "'O8'")):
        prepared(source="cifar10", path=cifar10)
    assert not mark.exists()


def test_fault_31_a_batch_that_makes_numpy_follow_its_bytes_is_refused(cifar10, prepared):
    (cifar10 / "cifar-10-batches-py" / "test_batch").write_bytes(SHAPE_OF_POINTERS)
    with pytest.raises(DataError, match=naming("test_batch", "'O8'")):
        prepared(source="cifar10", path=cifar10)


def test_no_codec_but_latin_is_permitted(cifar10, prepared):
    text = b"c_codecs\nencode\n(Vabc\nVrot13\ntR."
    (cifar10 / "cifar-10-batches-py" / "test_batch").write_bytes(text)
    with pytest.raises(DataError, match=naming("test_batch", "'rot13'")):
        prepared(source="cifar10", path=cifar10)


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ([1, 2], []),
        ({b"labels": [0]}, ["data", "uint8", 3072]),
        ({b"data": np.zeros((1, 5), np.uint8), b"labels": [0]}, ["data", "uint8", 3072]),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["a"]}, ["labels"]),
    ],
)
def test_a_pickle_of_something_else_is_refused(cifar10, prepared, content, facts):
    write_pickle(cifar10 / "cifar-10-batches-py" / "test_batch", content)
    with pytest.raises(DataError, match=naming("test_batch", *facts)):
        prepared(source="cifar10", path=cifar10)


def test_a_cut_pickle_is_refused(cifar10, prepared):
    path = cifar10 / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=naming(path)):
        prepared(source="cifar10", path=cifar10)


def test_a_missing_batch_is_named(cifar10, prepared):
    (cifar10 / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(DataError, match="'data_batch_3'"):
        prepared(source="cifar10", path=cifar10)


def test_a_folder_without_cifar_says_what_was_looked_for(tmp_path, prepared):
    names = ("test_batch", "test_batch.bin", "cifar-10-batches-py", "cifar-10-batches-bin")
    with pytest.raises(DataError, match=naming("data.path", tmp_path, *names)):
        prepared(source="cifar10", path=tmp_path)


def test_cifar10_is_read_from_its_binary_version(tmp_path, prepared):
    rows = np.concatenate([ten_labels(20)[:, None].astype(np.uint8), pixels(20, 3072)], axis=1)
    for name in CIFAR10:
        rows.tofile(tmp_path / f"{name}.bin")
    (tmp_path / "batches.meta.txt").write_text("\n".join(f"class{i}" for i in range(10)) + "\n\n")
    data = prepared(source="cifar10", path=tmp_path, image_size=32)
    assert data.info.classes[9] == "class9"
    expected = pixels(20, 3072).reshape(20, 3, 32, 32)
    assert np.array_equal(next(data.test.batches(20)).images.numpy(), expected)


def test_a_cut_binary_batch_is_refused(tmp_path, prepared):
    for name in CIFAR10:
        (tmp_path / f"{name}.bin").write_bytes(bytes(3000))
    with pytest.raises(DataError, match=naming("data_batch_1.bin", 3000, 3073)):
        prepared(source="cifar10", path=tmp_path)


@pytest.mark.parametrize(("name", "size"), [("test_batch.bin", 2**29), ("batches.meta.txt", 2**20)])
def test_fault_36_a_binary_file_larger_than_any_of_cifar_is_not_read(
    tmp_path, prepared, name, size
):
    for batch in CIFAR10:
        (tmp_path / f"{batch}.bin").write_bytes(bytes(3073))
    with (tmp_path / name).open("wb") as sparse:
        sparse.truncate(size + 1)
    with pytest.raises(DataError, match=naming(name, f"{size + 1:,}")):
        prepared(source="cifar10", path=tmp_path)


@pytest.mark.parametrize("binary", [True, False])
def test_cifar100_has_its_fine_classes(tmp_path, prepared, binary):
    fine = np.arange(300) % 100
    for name in ("train", "test"):
        if binary:
            labels = np.stack([fine // 5, fine], axis=1).astype(np.uint8)
            np.concatenate([labels, pixels(300, 3072)], axis=1).tofile(tmp_path / f"{name}.bin")
        else:
            content = {b"data": pixels(300, 3072), b"fine_labels": fine.tolist()}
            write_pickle(tmp_path / name, content)
    data = prepared(source="cifar100", path=tmp_path)
    assert len(data.info.classes) == 100
    assert np.array_equal(data.test.labels, fine)
