"""Data sets: readers against files written here, damage that must be caught, draws, preprocessing, real ones."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import random
import sys
import tarfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm.data import (
    DATASETS,
    NUM_CLASSES,
    DatasetFormatError,
    DatasetNotFoundError,
    DatasetWarning,
    available_counts,
    digits,
    load_dataset,
    long_tailed_counts,
    read_idx,
    step_counts,
)
from ufm.data.places import ENVIRONMENT
from ufm.data.sources import cifar as cifar_source
from ufm.data.sources import fashion_mnist, mnist1d

#: The files written here are small: only tests of the warning look at it.
pytestmark = pytest.mark.filterwarnings("ignore::ufm.data.DatasetWarning")
ALL = available_counts("digits", split="all")


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape) + array.tobytes()


def fashion(folder: Path, *, size: int = 40, compress: bool = False, subfolder: str = "") -> dict[str, np.ndarray]:
    """Write a small Fashion-MNIST; returns its arrays."""
    rng = np.random.default_rng(size)
    arrays = {}
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    for prefix, n in (("train", size), ("t10k", 20)):
        arrays[f"{prefix}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte"] = rng.permutation(np.arange(n, dtype=np.uint8) % 10)
    for name, array in arrays.items():
        content = idx(array)
        path = folder / subfolder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(content) if compress else content)
    return arrays


def cifar(folder: Path, layout: cifar_source.Cifar) -> dict[str, np.ndarray]:
    """Write a small CIFAR; returns the table of every file, one record a row."""
    rng = np.random.default_rng(7)
    tables = {}
    for split, names in layout.files.items():
        n = layout.records[split]
        labels = rng.permutation(np.arange(n * len(names)) % layout.num_classes).astype(np.uint8)
        for name, fine in zip(names, labels.reshape(len(names), n), strict=True):
            pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
            head = fine[:, None] if layout.label_bytes == 1 else np.stack([fine // 5, fine], axis=1)
            tables[name] = np.concatenate([head, pixels], axis=1)
            (folder / name).write_bytes(tables[name].tobytes())
    return tables


@pytest.fixture
def small_cifar(monkeypatch):
    """CIFAR with few records a file, so that the files are small."""
    for name, records in (("cifar10", {"train": 8, "test": 20}), ("cifar100", {"train": 200, "test": 100})):
        monkeypatch.setitem(cifar_source.LAYOUTS, name, replace(cifar_source.LAYOUTS[name], records=records))
    return dict(cifar_source.LAYOUTS)


# Readers ------------------------------------------------------------------------------------------------------------


class TestIdx:
    @settings(max_examples=examples(25))
    @given(shape=st.lists(st.integers(0, 5), min_size=0, max_size=4), seed=st.integers(0, 99), zipped=st.booleans())
    def test_round_trip(self, shape, seed, zipped, tmp_path_factory):
        array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        path = tmp_path_factory.mktemp("idx") / "array"
        path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
        read = read_idx(path)
        np.testing.assert_array_equal(read, array)
        assert read.shape == array.shape

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda b: b[:-1], r"must hold 12 entries of shape \(3, 4\), got 11"),
            (lambda b: b + b"\0", r"must hold 12 entries of shape \(3, 4\), got 13"),
            (lambda b: b[:10], "ends within its header of 12 bytes"),
            (lambda b: b[:3], "must start with 00 00 08"),
            (lambda b: b"", "must start with 00 00 08"),
            (lambda b: b[:2] + b"\x0d" + b[3:], "must start with 00 00 08.*unsigned bytes"),
            (lambda b: b"\x01" + b[1:], "must start with 00 00 08"),
            (lambda b: b[:4] + b"\xff" * 8 + b[12:], "must hold 18446744065119617025 entries"),
            (lambda b: gzip.compress(b)[:-9], "damaged gzip"),
            (lambda b: gzip.compress(b)[:15] + b"\xff" + gzip.compress(b)[16:], "damaged gzip"),
        ],
    )
    def test_damage(self, tmp_path, damage, message):
        path = tmp_path / "file"
        path.write_bytes(damage(idx(np.arange(12, dtype=np.uint8).reshape(3, 4))))
        with pytest.raises(DatasetFormatError, match=message) as caught:
            read_idx(path)
        assert str(path) in str(caught.value)


class TestFashionMnist:
    @pytest.mark.parametrize("compress", [False, True])
    @pytest.mark.parametrize("subfolder", ["", "fashion-mnist", "FashionMNIST/raw"])
    def test_reads_what_was_written(self, tmp_path, compress, subfolder):
        arrays = fashion(tmp_path, compress=compress, subfolder=subfolder)
        train, test = (load_dataset("fashion-mnist", tmp_path, split=s) for s in ("train", "test"))
        np.testing.assert_array_equal(train.inputs, arrays["train-images-idx3-ubyte"][:, None] / 255)
        np.testing.assert_array_equal(train.labels, arrays["train-labels-idx1-ubyte"])
        np.testing.assert_array_equal(test.inputs[:, 0] * 255, arrays["t10k-images-idx3-ubyte"])
        assert train.shape == (1, 28, 28)
        assert train.counts == (4,) * 10
        both = load_dataset("fashion-mnist", tmp_path, split="all")
        np.testing.assert_array_equal(both.inputs, np.concatenate([train.inputs, test.inputs]))
        np.testing.assert_array_equal(both.labels, np.concatenate([train.labels, test.labels]))

    def test_environment_names_the_folder_and_root_goes_first(self, tmp_path, monkeypatch):
        fashion(tmp_path / "a", size=30)
        fashion(tmp_path / "b", size=50)
        monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "a"))
        assert load_dataset("fashion-mnist").num_samples == 30
        assert load_dataset("fashion-mnist", tmp_path / "b").num_samples == 50

    def test_the_package_of_debian_is_found(self, tmp_path, monkeypatch):
        fashion(tmp_path / "debian", compress=True)
        monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
        assert load_dataset("fashion-mnist").num_samples == 40
        # a folder that was named is meant: no other one stands in for it
        with pytest.raises(DatasetNotFoundError):
            load_dataset("fashion-mnist", tmp_path / "elsewhere")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("train-images-idx3-ubyte", idx(np.zeros((40, 28, 27), np.uint8)), r"images of shape \(28, 28\), got .*27"),
            ("train-labels-idx1-ubyte", idx(np.zeros(39, np.uint8)), "must hold 40 labels, one an image"),
            ("train-labels-idx1-ubyte", idx(np.zeros((40, 1), np.uint8)), "must hold 40 labels"),
            ("train-labels-idx1-ubyte", idx(np.arange(40, dtype=np.uint8) % 11), "every label 0..9 and no other"),
            ("train-labels-idx1-ubyte", idx(np.arange(40, dtype=np.uint8) % 9), "every label 0..9 and no other"),
            ("train-labels-idx1-ubyte", idx(np.zeros((40, 28, 28), np.uint8)), "must hold 40 labels"),
        ],
    )
    def test_files_that_do_not_fit(self, tmp_path, name, content, message):
        fashion(tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetFormatError, match=message):
            load_dataset("fashion-mnist", tmp_path)

    def test_real(self):
        if not fashion_mnist.DEBIAN.is_dir():
            pytest.skip("Debian's package dataset-fashion-mnist is not installed")
        with warnings.catch_warnings():
            warnings.simplefilter("error", DatasetWarning)
            assert load_dataset("fashion-mnist", split="all").counts == (7000,) * 10
        assert available_counts("fashion-mnist", split="train") == (6000,) * 10
        assert available_counts("fashion-mnist", split="test") == (1000,) * 10
        data = load_dataset("fashion-mnist", counts=step_counts(3, 3, 40, 4), seed=1)
        assert data.counts == (40, 40, 40, 10, 10, 10)
        white = data.whitened().inputs
        assert white.shape == (150, 784)
        assert (white**2).sum(axis=1).mean() == pytest.approx(784)


class TestCifar:
    @pytest.mark.parametrize("name", ["cifar10", "cifar100"])
    def test_reads_what_was_written(self, tmp_path, small_cifar, name):
        layout = small_cifar[name]
        tables = cifar(tmp_path, layout)
        for split in ("train", "test"):
            table = np.concatenate([tables[f] for f in layout.files[split]])
            data = load_dataset(name, tmp_path, split=split, dtype=np.float32)
            np.testing.assert_array_equal(data.labels, table[:, layout.label_bytes - 1])
            pixels = table[:, layout.label_bytes :].reshape(-1, 3, 32, 32)
            np.testing.assert_array_equal(np.rint(data.inputs * 255), pixels)
            assert data.inputs.dtype == np.float32
            assert len(set(data.counts)) == 1

    @pytest.mark.parametrize("name", ["cifar10", "cifar100"])
    def test_archive(self, tmp_path, small_cifar, monkeypatch, name):
        layout = small_cifar[name]
        files = tmp_path / layout.folder
        files.mkdir()
        cifar(files, layout)
        archive = tmp_path / "archives" / layout.archive
        archive.parent.mkdir()
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(files, layout.folder)
        with pytest.raises(DatasetFormatError, match=f"must have the MD5 checksum {layout.md5}"):
            load_dataset(name, archive.parent)
        md5 = hashlib.md5(archive.read_bytes()).hexdigest()
        monkeypatch.setitem(cifar_source.LAYOUTS, name, replace(layout, md5=md5))
        for split in ("train", "test"):
            a, b = load_dataset(name, archive.parent, split=split), load_dataset(name, tmp_path, split=split)
            np.testing.assert_array_equal(a.inputs, b.inputs)
            np.testing.assert_array_equal(a.labels, b.labels)

    def test_published_layout(self):
        # sizes as published: 30,730,000 bytes a file of CIFAR-10, and 3074 bytes a record of CIFAR-100
        ten, hundred = (cifar_source.LAYOUTS[name] for name in ("cifar10", "cifar100"))
        assert ten.records["train"] * (3072 + ten.label_bytes) == 30_730_000
        assert sum(ten.records["train"] for _ in ten.files["train"]) == 50_000
        assert hundred.records["train"] * (3072 + hundred.label_bytes) == 153_700_000

    @pytest.mark.parametrize(
        ("name", "damage", "message"),
        [
            ("cifar10", lambda t: t[:-1], "data_batch_3.bin must be 24584 bytes long, got 21511"),
            ("cifar10", lambda t: np.where(np.arange(3073) == 0, 10, t), "every label 0..9 and no other"),
            ("cifar10", lambda t: np.where(np.arange(3073) == 0, 4, t), r"4 images of each class, got \d to \d"),
            ("cifar100", lambda t: np.roll(t, 1, axis=1), "every label 0..99 and no other"),
            ("cifar100", lambda t: np.where(np.arange(3074) == 0, t + 19, t), "one superclass of 0..19"),
            (
                "cifar100",
                lambda t: np.where((np.arange(3074) == 0) & (np.arange(200)[:, None] == 9), 3, t),
                "10. pairs",
            ),
        ],
    )
    def test_damage(self, tmp_path, small_cifar, name, damage, message):
        tables = cifar(tmp_path, small_cifar[name])
        file = "data_batch_3.bin" if name == "cifar10" else "train.bin"
        (tmp_path / file).write_bytes(damage(tables[file]).astype(np.uint8).tobytes())
        with pytest.raises(DatasetFormatError, match=message):
            load_dataset(name, tmp_path)


def warned(name: str, root: Path, split: str = "train") -> list[str]:
    """What is said about the files."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_dataset(name, root, split=split)
    assert all(w.category is DatasetWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


class TestNotThePublishedSet:
    """Well-formed files of something else: the warning names file, what was found and what was expected."""

    def test_fashion_mnist(self, tmp_path, monkeypatch):
        fashion(tmp_path)
        mean = load_dataset("fashion-mnist", tmp_path).inputs.mean()
        for _ in range(2):  # the second time the files are not read again
            number, classes, channels = warned("fashion-mnist", tmp_path)
            assert f"{tmp_path / 'train-images-idx3-ubyte'} with train-labels-idx1-ubyte holds 40 images" in number
            assert "the published set has 60000" in number
            assert "holds 4 to 4 images of a class; the published set has 6000" in classes
            assert f"channels of mean {mean:.4f} (pixels 0..1); the published set has 0.2860" in channels
        assert "10000" in warned("fashion-mnist", tmp_path, "test")[0]
        assert len(warned("fashion-mnist", tmp_path, "all")) == 6
        fashion_mnist.read.cache_clear()
        monkeypatch.setitem(fashion_mnist.PUBLISHED, "train", (40, (mean + 1e-4,)))
        assert warned("fashion-mnist", tmp_path) == []

    def test_fashion_mnist_with_uneven_classes(self, tmp_path, monkeypatch):
        arrays = fashion(tmp_path)
        labels = arrays["train-labels-idx1-ubyte"].copy()
        labels[np.flatnonzero(labels == 3)[0]] = 7
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
        mean = arrays["train-images-idx3-ubyte"].mean() / 255
        monkeypatch.setitem(fashion_mnist.PUBLISHED, "train", (40, (mean,)))
        (message,) = warned("fashion-mnist", tmp_path)
        assert "holds 3 to 5 images of a class; the published set has 4" in message

    @pytest.mark.parametrize("name", ["cifar10", "cifar100"])
    def test_cifar(self, tmp_path, small_cifar, monkeypatch, name):
        tables = cifar(tmp_path, small_cifar[name])
        head = small_cifar[name].label_bytes
        pixels = np.concatenate([tables[f] for f in small_cifar[name].files["train"]])[:, head:]
        means = pixels.reshape(-1, 3, 1024).mean(axis=(0, 2)) / 255
        exact = replace(small_cifar[name], means={"train": tuple(means), "test": (0.5, 0.5, 0.5)})
        monkeypatch.setitem(cifar_source.LAYOUTS, name, exact)
        assert warned(name, tmp_path) == []
        # black images with the right labels
        for file in exact.files["train"]:
            black = tables[file].copy()
            black[:, head:] = 0
            (tmp_path / file).write_bytes(black.tobytes())
        cifar_source.read.cache_clear()
        (message,) = warned(name, tmp_path)
        assert f"{tmp_path} with {exact.files['train'][0]}" in message
        assert "channels of mean 0.0000, 0.0000, 0.0000" in message
        assert f"the published set has {', '.join(f'{m:.4f}' for m in means)}" in message

    def test_cifar_with_channels_in_another_order(self, tmp_path, small_cifar, monkeypatch):
        tables = cifar(tmp_path, small_cifar["cifar10"])
        for file in small_cifar["cifar10"].files["test"]:
            table = tables[file].copy()
            for c, level in enumerate((114, 123, 126)):  # blue, green, red of the test set
                table[:, 1 + 1024 * c : 1 + 1024 * (c + 1)] = level
            (tmp_path / file).write_bytes(table.tobytes())
        (message,) = warned("cifar10", tmp_path, "test")
        assert "channels of mean 0.4471, 0.4824, 0.4941" in message

    def test_an_archive_is_what_its_checksum_says(self, tmp_path, small_cifar, monkeypatch):
        layout = small_cifar["cifar10"]
        (tmp_path / layout.folder).mkdir()
        tables = cifar(tmp_path / layout.folder, layout)
        (tmp_path / "packed").mkdir()
        with tarfile.open(tmp_path / "packed" / layout.archive, "w:gz") as tar:
            tar.add(tmp_path / layout.folder, layout.folder)
        md5 = hashlib.md5((tmp_path / "packed" / layout.archive).read_bytes()).hexdigest()
        monkeypatch.setitem(cifar_source.LAYOUTS, "cifar10", replace(layout, md5=md5))
        assert warned("cifar10", tmp_path / "packed") == []
        packed, unpacked = (load_dataset("cifar10", tmp_path / part).files for part in ("packed", layout.folder))
        assert packed == unpacked
        assert packed == {f: hashlib.sha256(tables[f].tobytes()).hexdigest() for f in layout.files["train"]}

    def test_others_have_no_files_and_no_warning(self):
        assert warned("digits", Path("nowhere")) == []
        assert load_dataset("digits").files == {}


@pytest.mark.parametrize("compress", [False, True])
def test_files_read_are_recorded_as_they_lie_on_the_disk(tmp_path, compress):
    fashion(tmp_path, compress=compress)
    data = load_dataset("fashion-mnist", tmp_path, split="all")
    assert data.files == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}
    assert len(data.files) == 4
    assert data.standardised().files == data.files
    assert set(load_dataset("fashion-mnist", tmp_path, split="test").files) < set(data.files)


class TestMissing:
    @pytest.mark.parametrize(
        ("name", "needed"),
        [
            ("fashion-mnist", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "dataset-fashion-mnist"]),
            ("cifar10", ["cifar-10-binary.tar.gz", "data_batch_1.bin", "data_batch_5.bin"]),
            ("cifar100", ["cifar-100-binary.tar.gz", "train.bin"]),
        ],
    )
    def test_says_what_to_put_where(self, tmp_path, monkeypatch, name, needed):
        monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "not-installed")
        for root in (None, tmp_path, tmp_path / "nowhere"):
            with pytest.raises(DatasetNotFoundError) as caught:
                load_dataset(name, root)
            message = str(caught.value)
            assert all(part in message for part in [*needed, ENVIRONMENT, "root"])
            assert root is None or str(root) in message

    def test_says_what_lacks(self, tmp_path):
        fashion(tmp_path)
        (tmp_path / "train-labels-idx1-ubyte").unlink()
        with pytest.raises(DatasetNotFoundError, match=r"\(lacks train-labels-idx1-ubyte\)"):
            load_dataset("fashion-mnist", tmp_path)
        assert load_dataset("fashion-mnist", tmp_path, split="test").num_samples == 20

    def test_package(self, monkeypatch):
        mnist1d.generate.cache_clear()
        for module in [m for m in sys.modules if m.partition(".")[0] == "mnist1d"]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "mnist1d", None)
        with pytest.raises(DatasetNotFoundError, match="pip install mnist1d"):
            load_dataset("mnist1d")


@pytest.mark.skipif(importlib.util.find_spec("mnist1d") is None, reason="the package mnist1d is not installed")
class TestMnist1d:
    def test_published_set(self):
        state = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
        mnist1d.generate.cache_clear()
        train, test = (load_dataset("mnist1d", split=s) for s in ("train", "test"))
        assert (random.getstate(), np.random.get_state()[1].tobytes()) == state  # noqa: NPY002
        assert (train.num_samples, test.num_samples, train.shape) == (4000, 1000, (1, 40))
        assert sum(train.counts[:1]) + sum(test.counts[:1]) == 500
        both = load_dataset("mnist1d", split="all").inputs
        assert both.mean() == pytest.approx(0, abs=1e-12)
        assert both.std() == pytest.approx(1)
        # the seed is that of the generator, and the same seed gives the same
        np.testing.assert_array_equal(load_dataset("mnist1d", generation_seed=42).inputs, train.inputs)
        assert not np.array_equal(load_dataset("mnist1d", generation_seed=1).inputs, train.inputs)


# Draws --------------------------------------------------------------------------------------------------------------

CLASSES = st.permutations(range(10)).flatmap(lambda p: st.integers(2, 10).map(lambda k: p[:k]))


class TestDraws:
    @settings(max_examples=examples(30))
    @given(classes=CLASSES, seed=st.integers(0, 50), data=st.data())
    def test_counts_labels_and_images_are_those_of_the_source(self, classes, seed, data):
        counts = [data.draw(st.integers(1, 40)) for _ in classes]
        drawn = load_dataset("digits", split="all", counts=counts, classes=classes, seed=seed)
        whole = load_dataset("digits", split="all")
        assert drawn.counts == tuple(counts)
        assert np.bincount(drawn.labels).tolist() == counts
        assert len(set(drawn.indices.tolist())) == sum(counts)
        assert drawn.classes == tuple(classes)
        np.testing.assert_array_equal(drawn.inputs, whole.inputs[drawn.indices])
        np.testing.assert_array_equal(np.array(drawn.classes)[drawn.labels], whole.labels[drawn.indices])
        assert drawn.prior.counts.tolist() == counts

    @settings(max_examples=examples(30))
    @given(classes=CLASSES, seed=st.integers(0, 50), data=st.data())
    def test_nested(self, classes, seed, data):
        """A larger count contains the smaller one, whatever role the class plays and whatever the others are."""
        fewer = [data.draw(st.integers(1, 40)) for _ in classes]
        more = [n + data.draw(st.integers(0, 40)) for n in fewer]
        other = data.draw(st.permutations(classes))
        small = load_dataset("digits", counts=fewer, classes=classes, seed=seed)
        large = load_dataset("digits", counts=[more[classes.index(c)] for c in other], classes=other, seed=seed)
        for k, c in enumerate(classes):
            assert set(small.indices[small.labels == k]) <= set(large.indices[large.labels == other.index(c)])

    def test_seeds(self):
        a, b, c = (load_dataset("digits", counts=[20, 20], seed=s) for s in (0, 0, 1))
        np.testing.assert_array_equal(a.indices, b.indices)
        assert set(a.indices) != set(c.indices)

    def test_shuffled_classes(self):
        orders = {load_dataset("digits", counts=[9, 3, 3], classes="shuffled", seed=s).classes for s in range(8)}
        assert len(orders) > 4
        assert orders == {
            load_dataset("digits", counts=[9, 3, 3], classes="shuffled", seed=s).classes for s in range(8)
        }
        # which images of a class are drawn does not hang on the order
        shuffled = load_dataset("digits", counts=[9] * 10, classes="shuffled", seed=3)
        assert set(shuffled.indices) == set(load_dataset("digits", counts=[9] * 10, seed=3).indices)

    def test_splits_do_not_meet_and_make_the_whole(self):
        parts = [load_dataset("digits", split=s) for s in ("train", "test")]
        whole = load_dataset("digits", split="all")
        assert tuple(a + b for a, b in zip(*(p.counts for p in parts), strict=True)) == whole.counts == ALL
        rows = [tuple(x) for p in parts for x in p.flattened().inputs.tolist()]
        assert sorted(rows) == sorted(map(tuple, whole.flattened().inputs.tolist()))

    def test_digits_is_the_whitened_draw(self):
        a = digits([20, 10, 3], seed=1)
        b = load_dataset("digits", split="all", counts=[20, 10, 3], seed=1)
        np.testing.assert_array_equal(a.indices, b.indices)
        np.testing.assert_array_equal(a.inputs, b.whitened().inputs)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"name": "mnist"}, ValueError, "name must be one of 'digits'"),
            ({"name": 3}, TypeError, "name must be one of"),
            ({"root": 3}, TypeError, "root must be the path of a folder or None, got 3"),
            ({"split": "valid"}, ValueError, "split must be one of 'train', 'test', 'all'"),
            ({"counts": [1, 146]}, ValueError, r"counts\[1\] .* 1 and 145, got 146; the train split of digits has 145"),
            ({"counts": [1, 183], "split": "all"}, ValueError, r"counts\[1\] .*digits has 182 images of 1"),
            ({"counts": [1, 0]}, ValueError, r"counts\[1\]"),
            ({"counts": [1, 1.5]}, ValueError, r"counts\[1\] must be an integer"),
            ({"counts": [1]}, ValueError, "counts must hold 2 to 10 classes, got 1"),
            ({"counts": 5}, TypeError, "counts must be a sequence"),
            ({"counts": [1, 1], "classes": [0, 1, 2]}, ValueError, "one number for each of the 3 classes, got 2"),
            ({"classes": [1, 1]}, ValueError, "classes must be at least 2 different ones"),
            ({"classes": [1]}, ValueError, "classes must be at least 2 different ones"),
            (
                {"classes": [1, 10]},
                ValueError,
                r"classes\[1\] must be an integer between 0 and 9, got 10; digits has 10",
            ),
            ({"classes": "random"}, ValueError, "or 'shuffled', got 'random'"),
            ({"classes": 4}, TypeError, "classes must be a sequence"),
            ({"seed": -1}, ValueError, "seed must be an integer >= 0"),
            ({"generation_seed": 1}, ValueError, "generation_seed must be None for 'digits'"),
            ({"dtype": np.int64}, ValueError, "dtype must be float64 or float32, got int64"),
            ({"dtype": "bogus"}, TypeError, "dtype must be float64 or float32, got 'bogus'"),
            ({"dtype": "bogus", "name": "cifar10", "root": "nowhere"}, TypeError, "dtype must be float64 or float32"),
            ({"seed": -1, "name": "cifar10", "root": "nowhere"}, ValueError, "seed must be an integer >= 0"),
        ],
    )
    def test_bad_arguments(self, arguments, error, message):
        with pytest.raises(error, match=message):
            load_dataset(**{"name": "digits", **arguments})

    def test_names(self):
        assert set(DATASETS) == {"digits", "mnist1d", "fashion-mnist", "cifar10", "cifar100"}

    def test_numbers_of_classes(self, tmp_path, small_cifar):
        fashion(tmp_path)
        cifar(tmp_path, small_cifar["cifar10"])
        cifar(tmp_path, small_cifar["cifar100"])
        for name, k in NUM_CLASSES.items():
            if name != "mnist1d" or importlib.util.find_spec("mnist1d") is not None:
                assert len(available_counts(name, tmp_path)) == k


class TestCounts:
    @settings(max_examples=examples(50))
    @given(a=st.integers(1, 6), b=st.integers(1, 6), n=st.integers(1, 5000), share=st.floats(0, 1))
    def test_step(self, a, b, n, share):
        ratio = 1 + share * (n - 1)
        counts = step_counts(a, b, n, ratio)
        assert counts[:a] == (n,) * a
        assert set(counts[a:]) == {counts[-1]}
        assert abs(counts[-1] - n / ratio) <= 0.5 + 1e-9

    @settings(max_examples=examples(50))
    @given(k=st.integers(2, 100), n=st.integers(1, 5000), share=st.floats(0, 1))
    def test_long_tailed(self, k, n, share):
        ratio = 1 + share * (n - 1)
        counts = long_tailed_counts(k, n, ratio)
        assert counts[0] == n
        assert list(counts) == sorted(counts, reverse=True)
        for i, count in enumerate(counts):
            assert abs(count - n * ratio ** (-i / (k - 1))) <= 0.5 + 1e-9

    def test_papers_numbers(self):
        assert step_counts(3, 7, 5000, 100) == (5000,) * 3 + (50,) * 7
        assert long_tailed_counts(3, 500, 100) == (500, 50, 5)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: step_counts(2, 2, 10, 21), "ratio must leave each class an image"),
            (lambda: step_counts(2, 2, 10, 0.5), "ratio must be >= 1"),
            (lambda: step_counts(0, 2, 10, 2), "num_majority"),
            (lambda: step_counts(2, 2, 0, 2), "majority_count"),
            (lambda: long_tailed_counts(1, 10, 2), "num_classes"),
            (lambda: long_tailed_counts(5, 10, 50), "ratio must leave each class an image"),
        ],
    )
    def test_bad(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


# Preprocessing ------------------------------------------------------------------------------------------------------


class TestPreprocessing:
    def test_standardised(self, tmp_path, small_cifar):
        cifar(tmp_path, small_cifar["cifar10"])
        train, test = (load_dataset("cifar10", tmp_path, split=s, dtype=np.float32) for s in ("train", "test"))
        x = train.standardised().inputs
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=1e-5)
        # a test image goes through the same map as a training image
        y = test.standardised(by=train).inputs
        for c in range(3):
            slope, offset = np.polyfit(train.inputs[:, c].ravel(), x[:, c].ravel(), 1)
            np.testing.assert_allclose(y[:, c], slope * test.inputs[:, c] + offset, atol=1e-4)
        assert not np.allclose(y, test.standardised().inputs)

    def test_a_constant_channel_becomes_zero(self):
        data = load_dataset("digits", counts=[3, 3])
        flat = replace(data, inputs=np.full_like(data.inputs, 0.25))
        assert not flat.standardised().inputs.any()
        with pytest.raises(ValueError, match="inputs must not all be equal"):
            flat.whitened()

    @pytest.mark.parametrize("count", [3, 30])
    def test_whitened_by_another_set_is_the_same_affine_map(self, count):
        """On the training images themselves, and on means of two (an affine map keeps them)."""
        train = load_dataset("digits", counts=[count] * 10, seed=2)
        white = train.whitened().inputs
        np.testing.assert_allclose(train.whitened(by=train).inputs, white, atol=1e-12)
        between = replace(train, inputs=(train.inputs[:-1] + train.inputs[1:])[:9] / 2, labels=train.labels[:9])
        np.testing.assert_allclose(between.whitened(by=train).inputs, (white[:-1] + white[1:])[:9] / 2, atol=1e-10)
        test = load_dataset("digits", split="test")
        assert np.isfinite(test.whitened(by=train).inputs).all()
        assert test.whitened(by=train).inputs.shape == (test.num_samples, 64)

    def test_whitened_float32_keeps_its_type(self):
        single = load_dataset("digits", counts=[9, 9], dtype=np.float32).whitened().inputs
        double = load_dataset("digits", counts=[9, 9]).whitened().inputs
        assert single.dtype == np.float32
        np.testing.assert_allclose(np.abs(single), np.abs(double), atol=1e-3)

    def test_other_shape(self):
        a = load_dataset("digits")
        with pytest.raises(ValueError, match=r"by must hold inputs of shape \(1, 8, 8\), got \(64,\)"):
            a.whitened(by=a.flattened())
        for method in (a.standardised, a.whitened):
            with pytest.raises(TypeError, match=r"by must be a ufm.deq.Dataset or None, got 3"):
                method(by=3)
