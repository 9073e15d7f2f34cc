"""How far a map can be trusted: pure functions on arrays.

A metric that needs a net has two halves: one makes variants of the input, the other turns the
values that the net gives them into a number. So the variants of many maps run through the net
together.

A blob is C x h x w float32, as the net reads it: the mean is subtracted, so 0 is the mean image.
Heat is h x w, of the blob's size, finite, and large where the map is hot. A value is the
probability of the class, or its score.
"""
