"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), from its IDX files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ufm.data._registry import Root, register_dataset

if TYPE_CHECKING:
    from ufm.data.raw import Raw

__all__ = ()  # registered, not called

#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
#: Images of each split, and their mean pixel as found in Debian's files and as quoted since the publication.
PUBLISHED = {"train": (60_000, (0.2860,)), "test": (10_000, (0.2868,))}


@register_dataset(
    "fashion-mnist",
    num_classes=10,
    what="70000 articles of clothing, 1 x 28 x 28 (Xiao et al. 2017)",
    where="IDX files",
    fitted_split="train",
)
def load(split: str, root: Root) -> Raw:
    """A split from the two files in ``root``, in the folder that ``UFM_DATA`` names, or in that of Debian's package."""
    return read(_files(root, split), split)


@lru_cache(maxsize=2)
def read(files: tuple[Path, Path], split: str) -> Raw:
    """Images and labels of the two files, kept for the next draw."""
    from ufm.data.idx import read_idx_pair
    from ufm.data.published import Published

    return read_idx_pair(*files, shape=(28, 28), num_classes=10, published=Published(*PUBLISHED[split]))


def _files(root: Root, split: str) -> tuple[Path, Path]:
    from ufm.data.places import first_with_all, folders

    prefix = "train" if split == "train" else "t10k"
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    searched = folders(root, ("fashion-mnist", "FashionMNIST/raw"))
    if root is None:
        searched.append(DEBIAN)

    def find(folder: Path) -> tuple[Path, Path] | list[str]:
        found = [next((p for p in (folder / n, folder / f"{n}.gz") if p.is_file()), None) for n in names]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
        return [n for n, p in zip(names, found, strict=True) if p is None]

    return first_with_all(
        searched,
        find,
        f"fashion-mnist was not found. It needs the files {names[0]} and {names[1]}, plain or .gz. Install Debian's "
        f"package dataset-fashion-mnist (it puts them in {DEBIAN}), or put them in a folder and name it",
    )
