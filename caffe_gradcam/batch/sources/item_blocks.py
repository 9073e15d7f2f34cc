"""Items that go through a batch together: lines of a list, which only the process that needs them
parses, or items that are in no list."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

from caffe_gradcam.batch.sources import item as item_lists
from caffe_gradcam.batch.sources.item import Item
from prototxt_tools.files import parse_json


@dataclass(frozen=True, eq=False)
class ItemBlock:
    """Some items in order.

    Attributes
    ----------
    lines : sequence of bytes
        Lines of a list of items, see ``item.dump``.
    given : sequence of Item
        Instead of lines.
    """

    lines: Sequence[bytes] = ()
    given: Sequence[Item] = ()

    def __len__(self) -> int:
        return len(self.lines) or len(self.given)

    def items(self) -> List[Item]:
        """The items; raises InputError where the list is damaged."""
        return item_lists.load(b"\n".join(self.lines), "a list") if self.lines else list(self.given)

    def part(self, start: int, stop: int) -> "ItemBlock":
        """The items from one position up to another."""
        return ItemBlock(self.lines[start:stop], self.given[start:stop])

    def columns(self) -> "ItemColumns":
        """What rows hold of the items."""
        if not self.lines:
            return ItemColumns(*zip(*((item.number, item.id, item.path, item.box)
                                      for item in self.given)))
        # One call for all lines takes a tenth of the time of one for each.
        values = parse_json(b"[" + b",".join(self.lines) + b"]")
        return ItemColumns(*([entry[index] for entry in values] for index in _IN_ROWS))


# The positions of number, id, path and box in a line.
_IN_ROWS = (0, 1, 2, 7)


@dataclass(frozen=True, eq=False)
class ItemColumns:
    """Fields of items, each for all of them in order; see ``Item``."""

    numbers: Sequence[int]
    ids: Sequence[str]
    paths: Sequence[str]
    boxes: Sequence[Optional[Sequence[float]]]
