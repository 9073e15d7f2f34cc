"""How many threads the libraries of a process start."""

from typing import Dict

# OpenBLAS, on which Caffe and NumPy run; OpenMP, on which torch does; MKL.
_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def variables(count: int) -> Dict[str, str]:
    """The environment of a process that computes with so many threads."""
    return dict.fromkeys(_VARIABLES, str(count))
