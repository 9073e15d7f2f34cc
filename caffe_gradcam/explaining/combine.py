"""One map of several: of the crops of an image, of the layers of a net."""

import dataclasses
from typing import TYPE_CHECKING, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.model.geometry import Geometry, Placement

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation

FUSIONS: Dict[str, Callable[[Sequence[np.ndarray]], np.ndarray]] = {
    "mean": lambda maps: np.mean(maps, axis=0),
    "max": lambda maps: np.max(maps, axis=0),
    "product": lambda maps: np.prod(maps, axis=0),
}


def merge(cams: np.ndarray, geometries: Sequence[Geometry], placement: Optional[Placement]
          ) -> Tuple[np.ndarray, Geometry, Optional[Placement]]:
    """The mean of what several crops of one image show at each position.

    Parameters
    ----------
    cams : numpy.ndarray
        V x h x w float32, one map for each crop.
    geometries : list of Geometry
        Of the crops.
    placement : Placement or None
        Of the cells within each crop.

    Returns
    -------
    cam : numpy.ndarray
        h' x w' float32, of cells about as large as those of the crops.
    geometry : Geometry
        The part of the image that all crops together show.
    placement : Placement or None
        Of one crop, the one given; of several, None: the cells are stretched.
    """
    if len(cams) == 1:
        return cams[0], geometries[0], placement
    edges = np.array([geometry.rectangle for geometry in geometries])
    left, right = edges[:, [0, 2]].min(), edges[:, [0, 2]].max()
    top, bottom = edges[:, 1].min(), edges[:, 3].max()
    steps = placement or Placement.stretched(cams.shape[1:])
    height = np.abs(edges[0, 3] - edges[0, 1]) * steps.rows[1]
    width = np.abs(edges[0, 2] - edges[0, 0]) * steps.columns[1]
    rows = _centres(top, bottom, height)
    columns = _centres(left, right, width)
    sums = sum(geometry.sample(cam, placement, rows, columns)
               for cam, geometry in zip(cams, geometries))
    counts = sum(geometry.sample(np.ones_like(cam), placement, rows, columns)
                 for cam, geometry in zip(cams, geometries))
    rectangle = float(left), float(top), float(right), float(bottom)
    whole = Geometry(geometries[0].image_size, rectangle)
    # The corners' crops may leave a gap where the image is long.
    return np.float32(sums / np.maximum(counts, 1)), whole, None


def fuse(explanations: "Sequence[Explanation]", how: str) -> "Explanation":
    """One explanation of those at several layers, at the finest one's resolution.

    The positive part of each map is divided by its maximum first.

    Parameters
    ----------
    explanations : sequence of Explanation
        Of one image, question and method.
    how : str
        A key of ``FUSIONS``.

    Returns
    -------
    Explanation
    """
    finest = max(explanations, key=lambda explanation: explanation.cam.size)
    x0, y0, x1, y1 = finest.geometry.rectangle
    placement = finest.placement or Placement.stretched(finest.cam.shape)
    down, right = placement.centres(finest.cam.shape)
    # Centres of border cells may lie beyond the rectangle, where a map has no values.
    rows = y0 + np.clip(down, 0, 1) * (y1 - y0)
    columns = x0 + np.clip(right, 0, 1) * (x1 - x0)
    maps = []
    for explanation in explanations:
        positive = np.maximum(explanation.cam, 0)
        unit = positive / (positive.max() or 1)
        maps.append(unit if explanation is finest else explanation.geometry.sample(
            unit, explanation.placement, rows, columns))
    return dataclasses.replace(
        finest, layer="+".join(explanation.layer for explanation in explanations),
        cam=np.float32(FUSIONS[how](maps)))


def _centres(start: float, end: float, step: float) -> np.ndarray:
    """Middles of equal cells from start to end, about as long as a step."""
    count = max(2, int(round((end - start) / step)))
    centres: np.ndarray = start + (np.arange(count) + 0.5) * (end - start) / count
    return centres
