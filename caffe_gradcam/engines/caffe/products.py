"""Products that the engine computes itself, between Caffe's passes."""

import numpy as np

# How many rows of a matrix are multiplied at once: they stay in a processor's cache meanwhile.
_BLOCK = 64


def times(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Few rows, N x K, times a matrix, K x C, of which rows that count for nothing are not read.

    Without NumPy's OpenBLAS, whose threads would go on waiting for work, on the processors that
    the threads of Caffe's OpenBLAS need for the next pass.
    """
    total = np.zeros((len(rows), matrix.shape[1]), np.float32)
    active = np.flatnonzero(rows.any(axis=0))
    for start in range(0, len(active), _BLOCK):
        chosen = active[start:start + _BLOCK]
        block = matrix[chosen]
        for row, sums in zip(rows[:, chosen], total):
            sums += np.einsum("k,kc->c", row, block)
    return total
