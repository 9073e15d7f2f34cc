"""Nets with several inputs: the target blobs of each stream, before it meets the others."""

from typing import Dict, List, Optional, Set

from prototxt_tools.net.graph import Graph, Shapes, Target


def stream_targets(graph: Graph, score: str, shapes: Shapes) -> Dict[str, Target]:
    """The last blob with spatial extent of each stream that a score depends on.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    score : str
    shapes : dict
        See ``shapes.infer``.

    Returns
    -------
    dict
        The blob that a stream begins with (see ``Graph.streams``) -> Target, in the order of the
        file. Empty for nets of one stream; without the streams that have no blob with spatial
        extent.
    """
    streams = graph.streams()
    begins = {stream for stream in streams if stream is not None}
    targets: Dict[str, Target] = {}
    for index in sorted(graph.ancestors([score])):
        layer = graph.net.layers[index]
        origins = {blob: _origin(graph, blob, streams, begins) for blob in layer.bottoms}
        if len(set(origins.values()) - {None}) < 2:
            continue
        for blob, begin in origins.items():
            if begin is not None:
                targets.update(_target(graph, blob, begin, shapes))
    return targets


def _target(graph: Graph, blob: str, begin: str, shapes: Shapes) -> Dict[str, Target]:
    targets = graph.targets(blob, shapes, per_class=False)
    if not targets:
        return {}
    reason = f"the last blob with spatial extent of the stream of {begin}"
    target = targets[0]
    return {begin: target if target.unknown_from else Target(target.blob, reason)}


def _origin(graph: Graph, blob: str, streams: List[Optional[str]],
            begins: Set[str]) -> Optional[str]:
    """The stream that a blob belongs to, or None."""
    writers = graph.writers(blob)
    return blob if blob in begins else streams[writers[-1]] if writers else None
