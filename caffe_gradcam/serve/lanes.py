"""The graph of a net drawn in lanes beside the rows of a table, as ``git log --graph`` does."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple

if TYPE_CHECKING:
    from prototxt_tools.net.net import Layer

MOST_LANES = 24


@dataclass(frozen=True)
class Crossing:
    """What is drawn beside a row.

    Attributes
    ----------
    lane : int
        The lane of the row's dot, from 0.
    lines : tuple of (int, int)
        The lines from the row above to this row: the lane there, and the lane here. Those that end
        in ``lane`` lead to the dot; the others pass it.
    """

    lane: int
    lines: Tuple[Tuple[int, int], ...]


def reads_of(layers: Sequence["Layer"]) -> List[Tuple[int, ...]]:
    """The rows that each row reads from.

    Each top of each layer has a row, in order. A bottom is read from the last row before the layer
    that writes it, so that in-place layers form a chain; a bottom that no layer writes is left out.
    """
    writers: Dict[str, int] = {}
    reads: List[Tuple[int, ...]] = []
    for layer in layers:
        rows = tuple(writers[bottom] for bottom in dict.fromkeys(layer.bottoms)
                     if bottom in writers)
        for top in layer.tops:
            writers[top] = len(reads)
            reads.append(rows)
    return reads


def arrange(reads: Sequence[Sequence[int]]) -> List[Crossing]:
    """Give every row a lane, and lead lines to it from the rows that it reads from.

    A line stays in its writer's lane until the last reader; then the lane is free again. The last
    of ``MOST_LANES`` lanes is shared by all lines for which no other is free, so that time and
    size are linear in the rows and reads, whatever the net.

    Parameters
    ----------
    reads : sequence of sequences of int
        For each row, the indices of the earlier rows that it reads from.

    Returns
    -------
    list of Crossing
        One per row.
    """
    last_readers = {writer: row for row, writers in enumerate(reads) for writer in writers}
    live: Dict[int, int] = {}  # How many values each lane carries.
    crossings: List[Crossing] = []
    for row, writers in enumerate(reads):
        lanes = {crossings[writer].lane for writer in writers}
        for writer in set(writers):
            if last_readers[writer] == row:
                live[crossings[writer].lane] -= 1
        live = {lane: count for lane, count in live.items() if count}
        free = [lane for lane in range(MOST_LANES - 1) if lane not in live]
        # A chain goes on in the lane that it ends.
        lane = min(lanes.intersection(free) or free, default=MOST_LANES - 1)
        lines = {(other, other) for other in live}.union((other, lane) for other in lanes)
        crossings.append(Crossing(lane, tuple(sorted(lines))))
        if row in last_readers:
            live[lane] = live.get(lane, 0) + 1
    return crossings
