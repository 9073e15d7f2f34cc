"""The lists of items of an output: written first, compared with the source later, and added to."""

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Counter as CounterType
from typing import Iterable, Iterator, List, Optional

from caffe_gradcam.batch.output import checksums
from caffe_gradcam.batch.sources import item as item_lists
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import Folder

FOLDER = "items"


@dataclass(frozen=True)
class Lists:
    """What was written.

    Attributes
    ----------
    sizes : list of int
        Items of each part.
    digest : str
        See :func:`digest`.
    """

    sizes: List[int]
    digest: str


def write(folder: Folder, items: Iterable[Item], part_size: int, part: int = 0, number: int = 0
          ) -> Lists:
    """Write the lists of parts, from a part and an item's number on."""
    rest, total = iter(items), 0
    sizes: List[int] = []
    while True:
        first = number + sum(sizes)
        entries = list(itertools.islice(rest, part_size))
        if not entries:
            return Lists(sizes, _hexadecimal(total))
        checksums.write(folder, name(part + len(sizes)), b"".join(
            item_lists.line(item, first + index) for index, item in enumerate(entries)))
        sizes.append(len(entries))
        total += sum(map(_value, entries))


def read(folder: Folder, part: int) -> List[Item]:
    """The items of a part, in order; raises InputError where the list is damaged."""
    data = checksums.read(folder, name(part), "start over with --no-resume")
    return item_lists.load(data, folder.locate(name(part)))


def read_lines(folder: Folder, part: int) -> List[bytes]:
    """The lines of a part's list, one for each item; raises InputError where it is damaged."""
    return checksums.read(folder, name(part), "start over with --no-resume").splitlines()


def name(part: int) -> str:
    """``items/items-000012.jsonl``."""
    return f"{FOLDER}/items-{part:06d}.jsonl"


def digest(items: Iterable[Item]) -> str:
    """What identifies items and how often each occurs, in any order: the sum of their SHA-256."""
    return _hexadecimal(sum(map(_value, items)))


def sum_of(first: str, second: str) -> str:
    """The digest of the items of two digests together."""
    return _hexadecimal(int(first, 16) + int(second, 16))


@dataclass(frozen=True)
class Difference:
    """How a source differs from the lists.

    Attributes
    ----------
    new : list of Item
        In the source alone.
    gone : Item or None
        One that is in the lists alone.
    """

    new: List[Item]
    gone: Optional[Item]


def difference(listed: Iterable[Item], items: Iterable[Item]) -> Difference:
    """Compare the items of lists and of a source, whose order does not matter."""
    listed_items = list(listed)
    left: CounterType[bytes] = Counter(map(_key, listed_items))
    new = list(_beyond(left, items))
    gone = next((item for item in listed_items if left[_key(item)] > 0), None)
    return Difference(new, gone)


def _beyond(left: CounterType[bytes], items: Iterable[Item]) -> Iterator[Item]:
    """The items that are not left, taking the others from what is."""
    for item in items:
        key = _key(item)
        if left[key] > 0:
            left[key] -= 1
        else:
            yield item


def _key(item: Item) -> bytes:
    return hashlib.sha256(item_lists.line(item, -1)).digest()


def _value(item: Item) -> int:
    return int.from_bytes(_key(item), "big")


def _hexadecimal(total: int) -> str:
    return f"{total % (1 << 256):064x}"
