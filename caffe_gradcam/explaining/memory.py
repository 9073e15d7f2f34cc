"""Batches that do not fit the memory, in parts."""

import warnings
from typing import Callable, List, TypeVar

from prototxt_tools.errors import OutOfMemory

Item = TypeVar("Item")
Value = TypeVar("Value")


class SmallerBatch(UserWarning):
    """A batch did not fit the memory and is processed in parts."""


def in_parts(function: Callable[[List[Item]], Value], items: List[Item]) -> List[Value]:
    """Call a function with all items at once or, where the memory does not hold that, with halves.

    Parameters
    ----------
    function : callable
        Takes a list of items.
    items : list

    Returns
    -------
    list
        What the function returned for each part, in order; nothing for no items.

    Raises
    ------
    OutOfMemory
        A single item does not fit.
    """
    if not items:
        return []
    try:
        return [function(items)]
    except OutOfMemory:
        if len(items) < 2:
            raise
    middle = (len(items) + 1) // 2
    warnings.warn(f"a batch of {len(items)} does not fit the memory; going on with {middle}",
                  SmallerBatch, stacklevel=2)
    return in_parts(function, items[:middle]) + in_parts(function, items[middle:])
