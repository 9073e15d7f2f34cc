"""From the cells of a map to the pixels of the image, and back."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np

from prototxt_tools.errors import QuestionError

# x, y, width, height in pixels of the image; or a mask, H x W.
Region = Union[Tuple[float, float, float, float], np.ndarray]


@dataclass(frozen=True)
class Placement:
    """Where the cells of a map lie in the input blob, as fractions of its height and width.

    Attributes
    ----------
    rows, columns : (float, float)
        The centre of the first cell, and the step from one cell to the next; 0 is the blob's
        upper or left edge, 1 its lower or right one.
    """

    rows: Tuple[float, float]
    columns: Tuple[float, float]

    @classmethod
    def stretched(cls, shape: Sequence[int]) -> "Placement":
        """An h x w map stretched over the whole blob, as ``cv2.resize`` does."""
        height, width = shape
        return cls((0.5 / height, 1.0 / height), (0.5 / width, 1.0 / width))

    @classmethod
    def of_field(cls, field: Any, size: Sequence[int]) -> "Optional[Placement]":
        """Each cell at the centre of its receptive field.

        Parameters
        ----------
        field : prototxt_tools.reports.receptive.Field or None
        size : (int, int)
            Height and width of the input blob.

        Returns
        -------
        Placement or None
            None where the field is not known, or does not move from cell to cell.
        """
        if field is None or len(field.stride) != 2 or not min(field.stride) > 0:
            return None
        rows, columns = (((offset + 0.5) / length, stride / length) for offset, stride, length
                         in zip(field.offset, field.stride, map(float, size)))
        return cls(rows, columns)

    def centres(self, shape: Sequence[int]) -> Tuple[np.ndarray, np.ndarray]:
        """Centres of an h x w map's rows and columns, each increasing."""
        rows, columns = (first + step * np.arange(count) for (first, step), count
                         in zip((self.rows, self.columns), shape))
        return rows, columns


@dataclass(frozen=True)
class Geometry:
    """Which part of an image an input blob shows.

    Attributes
    ----------
    image_size : (int, int)
        Height and width of the image.
    rectangle : (float, float, float, float)
        x0, y0, x1, y1: the edges of what the blob shows, in pixels of the image, whose edges are
        0, 0, W, H. Where the blob shows it mirrored, x0 is the right edge; a letterbox extends
        beyond the image.
    """

    image_size: Tuple[int, int]
    rectangle: Tuple[float, float, float, float]

    def moved(self, image_size: Tuple[int, int], corner: Tuple[float, float]) -> "Geometry":
        """The geometry on a whole image of which this one's image was cut out.

        Parameters
        ----------
        image_size : (int, int)
            Height and width of the whole image.
        corner : (float, float)
            x and y of the upper left corner of the part.
        """
        (x, y), (x0, y0, x1, y1) = corner, self.rectangle
        return dataclasses.replace(self, image_size=image_size,
                                   rectangle=(x0 + x, y0 + y, x1 + x, y1 + y))

    def enlarged(self, factor: float) -> "Geometry":
        """The geometry on the same image with so many times its height and width."""
        height, width = self.image_size
        x0, y0, x1, y1 = (factor * edge for edge in self.rectangle)
        return Geometry((int(height * factor), int(width * factor)), (x0, y0, x1, y1))

    def to_image(self, cells: np.ndarray, placement: Optional[Placement] = None) -> np.ndarray:
        """Lay a map over the image.

        Each cell's value stands at the cell's centre; values between centres are interpolated
        linearly, and a border cell's value extends to the rectangle's edge. With cells stretched
        over the blob this is what ``cv2.resize`` does where the rectangle is the whole image,
        and it needs no whole pixels where it is not.

        Parameters
        ----------
        cells : numpy.ndarray
            h x w.
        placement : Placement, optional
            Without it, the map is stretched over the blob.

        Returns
        -------
        numpy.ndarray
            H x W float32, zero outside the rectangle.
        """
        height, width = self.image_size
        return self.sample(cells, placement, np.arange(height) + 0.5, np.arange(width) + 0.5)

    def sample(self, cells: np.ndarray, placement: Optional[Placement], rows: np.ndarray,
               columns: np.ndarray) -> np.ndarray:
        """A map's values at chosen rows and columns of the image.

        Parameters
        ----------
        cells, placement
            As for :meth:`to_image`.
        rows, columns : numpy.ndarray
            In pixels of the image; the first pixel has its centre at 0.5.

        Returns
        -------
        numpy.ndarray
            len(rows) x len(columns) float32, zero outside the rectangle.
        """
        x0, y0, x1, y1 = self.rectangle
        centres = (placement or Placement.stretched(cells.shape)).centres(cells.shape)
        down = _interpolation(rows, y0, y1, centres[0])
        across = _interpolation(columns, x0, x1, centres[1])
        return np.dot(np.dot(down, np.float32(cells)), across.T)

    def cells_of(self, region: Region, shape: Sequence[int],
                 placement: Optional[Placement] = None) -> np.ndarray:
        """How much of a region of the image falls to each cell of a map.

        Parameters
        ----------
        region : (float, float, float, float) or numpy.ndarray
            x, y, width, height in pixels of the image; or a mask, H x W.
        shape : (int, int)
            Of the map.
        placement : Placement, optional
            As for :meth:`to_image`.

        Returns
        -------
        numpy.ndarray
            h x w float32 with sum 1: equal shares for the cells whose centres lie in the region,
            or all for the cell nearest to its middle where none does.

        Raises
        ------
        QuestionError
            The region is empty, or outside the part of the image that the net sees.
        """
        x0, y0, x1, y1 = self.rectangle
        centres = (placement or Placement.stretched(shape)).centres(shape)
        rows, columns = y0 + centres[0] * (y1 - y0), x0 + centres[1] * (x1 - x0)
        inside, (x, y) = _inside(region, rows, columns, self.image_size)
        if not (min(x0, x1) <= x <= max(x0, x1) and y0 <= y <= y1):
            raise QuestionError("the region lies outside the part of the image that the net sees")
        if not inside.any():
            inside[np.abs(rows - y).argmin(), np.abs(columns - x).argmin()] = True
        return np.float32(inside) / inside.sum()


def _inside(region: Region, rows: np.ndarray, columns: np.ndarray, image_size: Tuple[int, int]
            ) -> Tuple[np.ndarray, Tuple[float, float]]:
    """Which of the points lie in a region (h x w bool), and the region's middle (x, y)."""
    if isinstance(region, tuple):
        x, y, width, height = region
        inside = np.outer((rows >= y) & (rows < y + height),
                          (columns >= x) & (columns < x + width))
        return inside, (x + width / 2.0, y + height / 2.0)
    mask = np.asarray(region) > 0
    if mask.ndim != 2:
        raise QuestionError("a region must be (x, y, width, height) or a mask of height x width")
    if mask.shape != tuple(image_size):
        raise QuestionError("the mask is {}x{}, but the image is {}x{}".format(
            *mask.shape + tuple(image_size)))
    if not mask.any():
        raise QuestionError("the mask is empty")
    near = [np.clip(points.astype(int), 0, count - 1)
            for points, count in zip((rows, columns), image_size)]
    on_image = np.outer((rows >= 0) & (rows < image_size[0]),
                        (columns >= 0) & (columns < image_size[1]))
    down, right = np.nonzero(mask)
    return mask[np.ix_(*near)] & on_image, (right.mean() + 0.5, down.mean() + 0.5)


def _interpolation(points: np.ndarray, start: float, end: float, centres: np.ndarray
                   ) -> np.ndarray:
    """Weights (points x cells, float32) of linear interpolation along one axis."""
    centres = start + centres * (end - start)
    order = np.argsort(centres)
    weights = np.stack([np.interp(points, centres[order], row[order])
                        for row in np.eye(len(centres))], axis=1)
    weights[(points < min(start, end)) | (points > max(start, end))] = 0
    return weights.astype(np.float32)
