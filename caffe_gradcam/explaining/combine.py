"""One map of several: of the crops of a photograph, of the targets of a net."""

import numpy as np

from caffe_gradcam.model.geometry import Geometry, Placement

FUSIONS = {
    "mean": lambda maps: np.mean(maps, axis=0),
    "max": lambda maps: np.max(maps, axis=0),
    "product": lambda maps: np.prod(maps, axis=0),
}


def merge(cams, geometries, placement):
    """The mean of what several crops of one photograph show of each place.

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
        The part of the photograph that all crops together show.
    placement : Placement or None
        Of one crop, the one given; of several, None: the cells are stretched.
    """
    if len(cams) == 1:
        return cams[0], geometries[0], placement
    edges = np.array([one.rectangle for one in geometries])
    left, right = edges[:, [0, 2]].min(), edges[:, [0, 2]].max()
    top, bottom = edges[:, 1].min(), edges[:, 3].max()
    steps = placement or Placement.stretched(cams.shape[1:])
    height = np.abs(edges[0, 3] - edges[0, 1]) * steps.rows[1]
    width = np.abs(edges[0, 2] - edges[0, 0]) * steps.columns[1]
    rows = _centres(top, bottom, height)
    columns = _centres(left, right, width)
    sums = sum(geometry.sample(cam, placement, rows, columns)
               for cam, geometry in zip(cams, geometries))
    seen = sum(geometry.sample(np.ones_like(cam), placement, rows, columns)
               for cam, geometry in zip(cams, geometries))
    whole = Geometry(geometries[0].photograph, tuple(map(float, (left, top, right, bottom))))
    # The corners' crops may leave a gap where the photograph is long.
    return np.float32(sums / np.maximum(seen, 1)), whole, None


def fuse(explanations, how):
    """One explanation of those at several targets, at the finest one's resolution.

    The positive part of each map is divided by its maximum first.

    Parameters
    ----------
    explanations : list of Explanation
        Of one photograph, question and method.
    how : str
        A key of ``FUSIONS``.

    Returns
    -------
    Explanation
    """
    finest = max(explanations, key=lambda one: one.cam.size)
    x0, y0, x1, y1 = finest.geometry.rectangle
    placement = finest.placement or Placement.stretched(finest.cam.shape)
    down, right = placement.centres(finest.cam.shape)
    # Centres of border cells may lie beyond the rectangle, where a map has no values.
    rows = y0 + np.clip(down, 0, 1) * (y1 - y0)
    columns = x0 + np.clip(right, 0, 1) * (x1 - x0)
    maps = []
    for one in explanations:
        positive = np.maximum(one.cam, 0)
        unit = positive / (positive.max() or 1)
        maps.append(unit if one is finest
                    else one.geometry.sample(unit, one.placement, rows, columns))
    return finest._replace(target="+".join(one.target for one in explanations),
                           cam=np.float32(FUSIONS[how](maps)))


def _centres(start, end, step):
    """Middles of equal cells from start to end, about as long as a step."""
    count = max(2, int(round((end - start) / step)))
    return start + (np.arange(count) + 0.5) * (end - start) / count
