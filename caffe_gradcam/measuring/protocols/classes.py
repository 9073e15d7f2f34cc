"""Which score of a net is about which class of a data set."""

import re
from typing import Dict, List, Optional, Sequence, Tuple

from prototxt_tools.errors import InputError


def order(data_names: Sequence[str], model_names: Optional[Sequence[str]],
          count: Optional[int]) -> Tuple[int, ...]:
    """The net's class for each class of the data set.

    Where the net has class names, they decide; of several classes with one name, such as the two
    cranes of ImageNet, the first is taken for the first. Otherwise the orders must be the same.

    Parameters
    ----------
    data_names : sequence of str
    model_names : sequence of str, optional
    count : int, optional
        How many classes the net has; None where that is not known.

    Raises
    ------
    InputError
        The net has another number of classes, or no class of some name.
    """
    if count is not None and count != len(data_names):
        raise InputError(f"this protocol is for a net with {len(data_names)} classes, and this net "
                         f"has {count}")
    if not model_names or not all(data_names):
        return tuple(range(len(data_names)))
    indices: Dict[str, List[int]] = {}
    for index, name in reversed(list(enumerate(model_names))):
        indices.setdefault(_plain(name), []).append(index)
    classes = []
    for name in data_names:
        if not indices.get(_plain(name)):
            raise InputError(f"the data set's class {name!r} is none of the net's class names; "
                             "give --labels with the data set's names in the order of the net's "
                             "scores")
        classes.append(indices[_plain(name)].pop())
    return tuple(classes)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())
