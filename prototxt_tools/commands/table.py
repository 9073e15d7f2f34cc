"""Tables for people."""

from typing import Iterable, Iterator, Sequence

_NUMBERS = {"params", "MACs", "mean", "std", "min", "max", "nans", "infs", "distance"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], longest: int = 48) -> Iterator[str]:
    """Lines of aligned columns; a cell longer than ``longest`` characters is cut in its middle."""
    cells = [[_cut(cell, longest) for cell in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        aligned = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(head, row, widths)
        ]
        yield "  ".join(aligned).rstrip()


def _cut(cell: str, longest: int) -> str:
    cell = "".join(letter if letter.isprintable() else "?" for letter in cell)
    if len(cell) <= longest:
        return cell
    return cell[: longest // 2 - 2] + "..." + cell[-(longest // 2 - 1) :]
