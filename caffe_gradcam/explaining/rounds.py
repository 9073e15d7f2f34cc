"""Which boxes can share a backward pass."""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from caffe_gradcam.explaining.detectors import Term
from prototxt_tools.layers.windows import convolution_windows
from prototxt_tools.net.graph import Graph

# Top, left, bottom and right of the cells that a gradient reaches; the last two are exclusive.
Window = Tuple[int, int, int, int]


@dataclass(frozen=True)
class Job:
    """One box of one image whose gradient is needed.

    Attributes
    ----------
    row, rank : int
        The image in the batch, and the box in the image.
    head : str
        The blob that the gradient starts from.
    terms : tuple of Term
    layers : tuple of str
        Where it is needed.
    window : Window or None
        The cells of the only layer that it can reach; None: all.
    """

    row: int
    rank: int
    head: str
    terms: Tuple[Term, ...]
    layers: Tuple[str, ...]
    window: Optional[Window]


def window_of(graph: Graph, head: str, layer: str, terms: Sequence[Term], shape: Sequence[int],
              size: Sequence[int]) -> Optional[Window]:
    """The cells of a layer that the numbers of one cell of a head depend on.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    head, layer : str
    terms : sequence of Term
        Numbers of the head.
    shape : (int, int, int)
        Channels, height and width of the head.
    size : (int, int)
        Height and width of the layer.

    Returns
    -------
    Window or None
        None unless the head is a convolution of the layer and the numbers are of one cell.
    """
    maker = graph.maker(head)
    if (maker is None or maker.type != "Convolution" or maker.bottoms != [layer]
            or len(shape) != 3 or len(graph.writers(head)) > 1):
        return None
    cells = {term.offset % (shape[1] * shape[2]) for term in terms}
    if len(cells) != 1:
        return None
    row, column = divmod(cells.pop(), shape[2])
    edges = []
    for cell, length, kernel, stride, pad, dilation in zip(
            (row, column), size, *convolution_windows(maker.message.convolution_param, 2)):
        start = cell * stride - pad
        edges.append((max(start, 0), min(start + dilation * (kernel - 1) + 1, length)))
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def in_rounds(jobs: Sequence[Job]) -> List[List[Job]]:
    """The jobs in groups, each for one backward pass.

    In a group all start from one head, and those of one image reach different cells, so that each
    one's gradient can be told from the others'.
    """
    groups: List[List[Job]] = []
    for job in jobs:
        group = next((group for group in groups if _can_join(job, group)), None)
        if group is None:
            groups.append([job])
        else:
            group.append(job)
    return groups


def _can_join(job: Job, group: Sequence[Job]) -> bool:
    return all(job.head == other.head and (job.row != other.row or _are_apart(job, other))
               for other in group)


def _are_apart(job: Job, other: Job) -> bool:
    if job.window is None or other.window is None or job.layers != other.layers:
        return False
    top, left, bottom, right = job.window
    return (right <= other.window[1] or other.window[3] <= left
            or bottom <= other.window[0] or other.window[2] <= top)
