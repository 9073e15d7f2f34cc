"""Regions of photographs in which the heat of many maps lies."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from caffe_gradcam.report.survey.maps import SIDE

# A region is at most this share of the image.
_LARGEST = 1 / 6


@dataclass(frozen=True)
class Region:
    """A rectangle of cells; rows and columns count from the upper left corner of SIDE x SIDE."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def rectangle(self) -> Tuple[float, float, float, float]:
        """x, y, width and height as shares of the photograph's width and height."""
        return (self.column / SIDE, self.row / SIDE, self.columns / SIDE, self.rows / SIDE)

    @property
    def opposite(self) -> "Region":
        """A region of the same size in the corner that is farthest away."""
        is_low, is_right = self.row + self.rows / 2 > SIDE / 2, \
            self.column + self.columns / 2 > SIDE / 2
        return Region(0 if is_low else SIDE - self.rows,
                      0 if is_right else SIDE - self.columns, self.rows, self.columns)

    @property
    def words(self) -> str:
        """Where it lies: "lower left corner", "upper edge", "middle", ..."""
        across = _third(self.column + self.columns / 2, ("left", "", "right"))
        down = _third(self.row + self.rows / 2, ("upper", "", "lower"))
        if across and down:
            return f"{down} {across} corner"
        return f"{across or down} edge" if across or down else "middle"

    def wider(self) -> "Region":
        """The region and the cells around it."""
        row, column = max(0, self.row - 1), max(0, self.column - 1)
        return Region(row, column, min(SIDE, self.row + self.rows + 1) - row,
                      min(SIDE, self.column + self.columns + 1) - column)

    def cut(self, heat: np.ndarray) -> np.ndarray:
        """The region of maps: n x SIDE x SIDE -> n x rows x columns."""
        return heat[:, self.row:self.row + self.rows, self.column:self.column + self.columns]

    def share(self, heat: np.ndarray) -> np.ndarray:
        """The shares of the heat of maps (n x SIDE x SIDE, each with the sum 1) inside: n."""
        inside: np.ndarray = self.cut(heat).sum(axis=(1, 2))
        return inside

    def pixels(self, size: Tuple[int, int]) -> Tuple[slice, slice]:
        """The rows and columns of an image of this height and width."""
        (height, width), (x, y, across, down) = size, self.rectangle
        return (slice(int(y * height), max(1, int(round((y + down) * height)))),
                slice(int(x * width), max(1, int(round((x + across) * width)))))


def smallest(heat: np.ndarray, share: float) -> Optional[Region]:
    """The smallest region that holds a share of the heat of a map, and of those the hottest.

    Parameters
    ----------
    heat : numpy.ndarray
        SIDE x SIDE float, not negative, not zero.
    share : float
        Above 0, at most 1.

    Returns
    -------
    Region or None
        None where it would be larger than a sixth of the photograph.
    """
    sums = np.zeros((SIDE + 1, SIDE + 1))
    sums[1:, 1:] = (heat / heat.sum()).cumsum(axis=0).cumsum(axis=1)
    best: List[Tuple[int, float, Region]] = []
    for rows in range(1, SIDE + 1):
        for columns in range(1, min(SIDE, int(SIDE * SIDE * _LARGEST) // rows) + 1):
            inside = (sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns]
                      + sums[:-rows, :-columns])
            row, column = np.unravel_index(inside.argmax(), inside.shape)
            if inside[row, column] >= share:
                region = Region(int(row), int(column), rows, columns)
                best.append((rows * columns, -float(inside[row, column]), region))
                break
    return min(best, key=lambda entry: entry[:2])[2] if best else None


def _third(middle: float, names: Tuple[str, str, str]) -> str:
    return names[min(2, int(3 * middle / SIDE))]
