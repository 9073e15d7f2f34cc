"""The table of shape rules, one or two per layer type."""

TOPS = {}
PARAMETERS = {}


def tops_of(*types):
    """Register ``rule(message, bottoms, count) -> [shape or None]`` for layer types."""
    return _register(TOPS, types)


def parameters_of(*types):
    """Register ``rule(message, bottoms) -> [shape or None]`` for layer types."""
    return _register(PARAMETERS, types)


def _register(table, types):
    def register(function):
        table.update(dict.fromkeys(types, function))
        return function

    return register


def axis_of(index, shape):
    """An axis counted from the end if negative; ValueError if there is none such."""
    if not -len(shape) <= index < len(shape):
        raise ValueError(f"axis {index} of a blob with {len(shape)} axes")
    return index % len(shape)


def volume(sizes):
    """The product; 1 for none."""
    product = 1
    for size in sizes:
        product *= size
    return product


def check(condition, problem):
    """Caffe's CHECK: ValueError with a sentence about the layer."""
    if not condition:
        raise ValueError(problem)
