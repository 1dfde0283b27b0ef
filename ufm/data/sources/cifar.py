"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from their binary version, packed or unpacked."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ufm.data._registry import Root, register_dataset
from ufm.data.cifar_layout import Cifar

if TYPE_CHECKING:
    from ufm.data.raw import Raw

__all__ = ()  # registered, not called

#: Means as networks are commonly fed with them. Checksums as published on the data sets' page, https://www.cs.toronto.edu/~kriz/cifar.html
LAYOUTS = {
    "cifar10": Cifar(
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        files={"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)},
        records={"train": 10_000, "test": 10_000},
        label_bytes=1,
        num_classes=10,
        means={"train": (0.4914, 0.4822, 0.4465), "test": (0.4942, 0.4851, 0.4504)},
    ),
    "cifar100": Cifar(
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        files={"train": ("train.bin",), "test": ("test.bin",)},
        records={"train": 50_000, "test": 10_000},
        label_bytes=2,
        num_classes=100,
        means={"train": (0.5071, 0.4865, 0.4409), "test": (0.5088, 0.4874, 0.4419)},
    ),
}


@register_dataset(
    "cifar10",
    num_classes=10,
    what="60000 photographs, 3 x 32 x 32 (Krizhevsky 2009)",
    where="the official binary files",
)
def load_cifar10(split: str, root: Root) -> Raw:
    """A split from the archive or its unpacked files in ``root``, or in the folder that ``UFM_DATA`` names."""
    return read("cifar10", split, _location("cifar10", root, split))


@register_dataset(
    "cifar100",
    num_classes=100,
    what="60000 photographs, 3 x 32 x 32, 100 fine labels (Krizhevsky 2009)",
    where="the official binary files",
)
def load_cifar100(split: str, root: Root) -> Raw:
    """As :func:`load_cifar10`, with the fine labels."""
    return read("cifar100", split, _location("cifar100", root, split))


@lru_cache(maxsize=2)
def read(name: str, split: str, location: Path) -> Raw:
    """A split from its folder or archive, kept for the next draw."""
    from ufm.data.cifar_reader import read_cifar

    return read_cifar(LAYOUTS[name], split, location)


def _location(name: str, root: Root, split: str) -> Path:
    from ufm.data.places import first_with_all, folders

    layout = LAYOUTS[name]

    def find(folder: Path) -> Path | list[str]:
        missing = [n for n in layout.files[split] if not (folder / n).is_file()]
        if not missing:
            return folder
        archive = folder / layout.archive
        return archive if archive.is_file() else [*missing, f"or {layout.archive}"]

    return first_with_all(
        folders(root, (layout.folder,)),
        find,
        f"{name} was not found. It needs {layout.archive} (the binary version of https://www.cs.toronto.edu/~kriz/"
        f"cifar.html) or the files in it, {', '.join(layout.files[split])}. Put either in a folder and name it",
    )
