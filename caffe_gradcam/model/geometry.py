"""From the cells of a map to the pixels of the photograph, and back."""

from typing import NamedTuple, Tuple

import numpy as np

from prototxt_tools.errors import InputError


class Placement(NamedTuple):
    """Where the cells of a map lie in the input blob, as parts of its height and width.

    Attributes
    ----------
    rows, columns : (float, float)
        The centre of the first cell, and the step from one cell to the next; 0 is the blob's
        upper or left edge, 1 its lower or right one.
    """

    rows: Tuple[float, float]
    columns: Tuple[float, float]

    @classmethod
    def stretched(cls, shape):
        """An h x w map pulled over the whole blob, as ``cv2.resize`` does."""
        height, width = shape
        return cls((0.5 / height, 1.0 / height), (0.5 / width, 1.0 / width))

    @classmethod
    def of_field(cls, field, size):
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
        axes = zip(field.offset, field.stride, map(float, size))
        return cls(*(((offset + 0.5) / length, stride / length)
                     for offset, stride, length in axes))

    def centres(self, shape):
        """Centres of an h x w map's rows and columns, each increasing."""
        return tuple(first + step * np.arange(count)
                     for (first, step), count in zip(self, shape))


class Geometry(NamedTuple):
    """Which part of a photograph an input blob shows.

    Attributes
    ----------
    photograph : (int, int)
        Height and width of the photograph.
    rectangle : (float, float, float, float)
        x0, y0, x1, y1: the edges of what the blob shows, in pixels of the photograph, whose own
        edges are 0, 0, W, H. Where the blob shows it mirrored, x0 is the right edge; a letterbox
        goes beyond the photograph.
    """

    photograph: Tuple[int, int]
    rectangle: Tuple[float, float, float, float]

    def to_photograph(self, cells, placement=None):
        """Lay a map over the photograph.

        Each cell's value stands at the cell's centre; values between centres are interpolated
        linearly, and a border cell's value goes on to the rectangle's edge. With cells stretched
        over the blob this is what ``cv2.resize`` does where the rectangle is the whole photograph,
        and it needs no whole pixels where it is not.

        Parameters
        ----------
        cells : numpy.ndarray
            h x w.
        placement : Placement, optional
            Stretched over the blob without.

        Returns
        -------
        numpy.ndarray
            H x W float32, zero outside the rectangle.
        """
        height, width = self.photograph
        return self.sample(cells, placement, np.arange(height) + 0.5, np.arange(width) + 0.5)

    def sample(self, cells, placement, rows, columns):
        """A map's values at chosen rows and columns of the photograph.

        Parameters
        ----------
        cells, placement
            As for :meth:`to_photograph`.
        rows, columns : numpy.ndarray
            In pixels of the photograph; the first pixel has its centre at 0.5.

        Returns
        -------
        numpy.ndarray
            len(rows) x len(columns) float32, zero outside the rectangle.
        """
        x0, y0, x1, y1 = self.rectangle
        centres = (placement or Placement.stretched(cells.shape)).centres(cells.shape)
        weights = _interpolation(rows, y0, y1, centres[0])
        across = _interpolation(columns, x0, x1, centres[1])
        return np.dot(np.dot(weights, np.float32(cells)), across.T)

    def cells_of(self, region, shape, placement=None):
        """How much of a region of the photograph falls to each cell of a map.

        Parameters
        ----------
        region : (float, float, float, float) or numpy.ndarray
            x, y, width, height in pixels of the photograph; or a mask, H x W.
        shape : (int, int)
            Of the map.
        placement : Placement, optional
            As for :meth:`to_photograph`.

        Returns
        -------
        numpy.ndarray
            h x w float32 with sum 1: equal shares for the cells whose centres lie in the region,
            or all for the cell nearest to its middle where none does.

        Raises
        ------
        InputError
            The region is empty, or lies outside of what the net sees.
        """
        x0, y0, x1, y1 = self.rectangle
        centres = (placement or Placement.stretched(shape)).centres(shape)
        rows, columns = y0 + centres[0] * (y1 - y0), x0 + centres[1] * (x1 - x0)
        inside, (x, y) = _inside(region, rows, columns, self.photograph)
        if not (min(x0, x1) <= x <= max(x0, x1) and y0 <= y <= y1):
            raise InputError("the region lies outside of the part of the picture that the net sees")
        if not inside.any():
            inside[np.abs(rows - y).argmin(), np.abs(columns - x).argmin()] = True
        return np.float32(inside) / inside.sum()


def _inside(region, rows, columns, size):
    """Which of the points lie in a region (h x w bool), and the region's middle (x, y)."""
    if isinstance(region, tuple):
        x, y, width, height = region
        inside = np.outer((rows >= y) & (rows < y + height),
                          (columns >= x) & (columns < x + width))
        return inside, (x + width / 2.0, y + height / 2.0)
    mask = np.asarray(region) > 0
    if mask.ndim != 2:
        raise InputError("a region is (x, y, width, height) or a mask of height x width")
    if mask.shape != tuple(size) or not mask.any():
        raise InputError(
            "the mask is empty" if mask.shape == tuple(size) else
            "the mask is {}x{}, but the photograph is {}x{}".format(*mask.shape + tuple(size)))
    near = [np.clip(at.astype(int), 0, count - 1) for at, count in zip((rows, columns), size)]
    seen = np.outer((rows >= 0) & (rows < size[0]), (columns >= 0) & (columns < size[1]))
    down, right = np.nonzero(mask)
    return mask[np.ix_(*near)] & seen, (right.mean() + 0.5, down.mean() + 0.5)


def _interpolation(at, start, end, centres):
    """Weights (points x cells, float32) of linear interpolation along one axis."""
    centres = start + centres * (end - start)
    order = np.argsort(centres)
    weights = np.stack([np.interp(at, centres[order], one[order])
                        for one in np.eye(len(centres))], axis=1)
    weights[(at < min(start, end)) | (at > max(start, end))] = 0
    return weights.astype(np.float32)
