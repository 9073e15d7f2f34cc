"""How far a map can be trusted: pure functions on arrays.

Those that need a net are in two halves: one makes pictures, one makes a number of the values that
the net gives them, so that the pictures of many maps go through the net together.

A blob is C x h x w float32, as the net reads it: mean-subtracted, so 0 is the mean picture. Heat
is h x w, of the blob's size, finite, hot where it is large. A value is the class's probability, or
its score.
"""
