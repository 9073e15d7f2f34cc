"""Nets with several inputs: the target blobs of each stream, before it meets the others."""

from prototxt_tools.net.graph import Target


def stream_targets(graph, score, shapes):
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
    streams, found = graph.streams(), {}
    begins = set(streams) - {None}
    for index in sorted(graph.ancestors([score])):
        layer = graph.net.layers[index]
        origins = {blob: _origin(graph, blob, streams, begins) for blob in layer.bottoms}
        if len(set(origins.values()) - {None}) < 2:
            continue
        for blob, begin in origins.items():
            for target in graph.targets(blob, shapes, per_class=False)[:1] if begin else ():
                reason = "the last blob with spatial extent of the stream of " + begin
                found[begin] = Target(target.blob, reason)
    return found


def _origin(graph, blob, streams, begins):
    """The stream that a blob belongs to, or None."""
    writers = graph.writers(blob)
    return blob if blob in begins else streams[writers[-1]] if writers else None
