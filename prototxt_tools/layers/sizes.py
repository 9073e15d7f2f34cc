"""What the rules about shapes have in common."""

from typing import Any, Iterable, List, Optional, Sequence, Tuple

# A ``LayerParameter`` of the schema, whose classes are made at run time.
Message = Any
Shape = Tuple[int, ...]
Shapes = List[Shape]
Tops = Sequence[Optional[Shape]]


def axis_of(index: int, shape: Shape) -> int:
    """An axis counted from the end if negative; ValueError if the shape has no such axis."""
    if not -len(shape) <= index < len(shape):
        raise ValueError(f"axis {index} of a blob with {len(shape)} axes")
    return index % len(shape)


def volume(sizes: Iterable[int]) -> int:
    """The product; 1 for none."""
    product = 1
    for size in sizes:
        product *= size
    return product


def check(condition: object, problem: str) -> None:
    """Caffe's CHECK: ValueError with a sentence about the layer."""
    if not condition:
        raise ValueError(problem)
