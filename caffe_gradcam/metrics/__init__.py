"""How far a map can be trusted: pure functions on arrays, with callbacks where a net has to run.

A blob is C x h x w float32, as the net reads it: mean-subtracted, so 0 is the mean picture. Heat
is h x w, of the blob's size, finite, hot where it is large. ``net(blobs) -> values`` takes
N x C x h x w and gives N values of the class in question: probabilities, or scores.
"""
