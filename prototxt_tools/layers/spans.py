"""Receptive fields along one axis, and the rules that lead from bottoms to tops.

The arithmetic is that of Araujo et al., "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019.
"""

from typing import NamedTuple


class Span(NamedTuple):
    """What the cells of one axis see: cell 0 sees from ``low`` to ``high``, both the centres of
    input pixels, and each further cell ``stride`` pixels on. With stride 0 all cells see the
    same."""

    low: float
    high: float
    stride: float
