"""Clusters of maps by spectral clustering, as in Spectral Relevance Analysis (SpRAy).

Lapuschkin et al., "Unmasking Clever Hans predictors and assessing what machines really learn",
Nature Communications 10 (2019): the neighbours of each map make a graph, the small eigenvalues of
its Laplacian tell how many clusters there are, and the eigenvectors which maps these hold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prototxt_tools.errors import InputError

# Classes with fewer maps have no clusters; of those with more, so many are clustered.
FEWEST, MOST = 12, 2000
MOST_CLUSTERS = 12
# Numbers of clusters at which odd ones are looked for.
COUNTS = (2, 3, 4, 6, 8, 10, 12)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The small eigenvalues of the normalised Laplacian of the graph of neighbours.

    Attributes
    ----------
    eigenvalues : numpy.ndarray
        k float64, ascending, 0 to 2.
    embedding : numpy.ndarray
        n x k float64: a row for each map, a column for each eigenvalue.
    """

    eigenvalues: np.ndarray
    embedding: np.ndarray

    @property
    def clusters(self) -> int:
        """How many clusters the largest gap between eigenvalues suggests."""
        return int(np.argmax(np.diff(self.eigenvalues))) + 1


def libraries() -> Any:
    """scikit-learn; raises InputError where it is missing."""
    try:
        import sklearn.cluster
        import sklearn.neighbors
    except ImportError:
        raise InputError("survey needs scikit-learn; run: pip install 'caffe-gradcam[survey]'",
                         "scikit-learn") from None
    return sklearn


def spectrum(vectors: np.ndarray) -> Spectrum:
    """The spectrum of the graph that joins each map with the maps most similar to it.

    Parameters
    ----------
    vectors : numpy.ndarray
        n x d float32, n >= FEWEST: the maps as rows.
    """
    neighbours = libraries().neighbors
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    count = max(3, int(round(np.log2(len(unit)))))
    graph = neighbours.kneighbors_graph(unit, count).toarray()
    weights = np.maximum(graph, graph.T) * np.maximum(unit @ unit.T, 1e-6)
    scale = 1 / np.sqrt(weights.sum(axis=1))
    laplacian = np.eye(len(unit)) - scale[:, None] * weights * scale
    values, columns = np.linalg.eigh(laplacian)
    return Spectrum(values[:MOST_CLUSTERS], columns[:, :MOST_CLUSTERS])


def labels(of: Spectrum, count: int) -> np.ndarray:
    """The cluster of each map, n int64 from 0 to ``count`` - 1.

    k-means on the rows of the first eigenvectors, each scaled to length 1: Ng, Jordan and Weiss,
    "On spectral clustering", NIPS 2001.
    """
    rows = of.embedding[:, :count]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    from threadpoolctl import threadpool_limits  # scikit-learn needs it too.

    means = libraries().cluster.KMeans(count, n_init=2, random_state=0)
    with threadpool_limits(1):  # So few rows take longer with several threads.
        clusters: np.ndarray = means.fit_predict(rows).astype(np.int64)
    return clusters
