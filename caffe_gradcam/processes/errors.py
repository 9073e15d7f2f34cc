"""Errors that go from process to process."""

import pickle

from prototxt_tools.errors import InputError, PrototxtError


def portable(error: InputError) -> InputError:
    """The error itself where it can be pickled; otherwise one of its nearest class that can."""
    try:
        pickle.dumps(error)
        return error
    except Exception:  # Pickling runs the error's own code.
        kind = next(kind for kind in type(error).__mro__
                    if kind.__module__ == InputError.__module__ and kind is not PrototxtError)
        return kind(str(error), error.subject)  # type: ignore[no-any-return]
