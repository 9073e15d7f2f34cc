"""Tables for people."""

_NUMBERS = {"params", "MACs", "mean", "std", "min", "max", "nans", "infs", "distance"}


def table(head, rows, longest=48):
    """Lines of aligned columns; a long cell is cut in its middle."""
    rows = [[_cut(cell, longest) for cell in row] for row in [head] + rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(head, row, widths)
        ]
        yield "  ".join(cells).rstrip()


def _cut(cell, longest):
    cell = "".join(letter if letter.isprintable() else "?" for letter in cell)
    if len(cell) <= longest:
        return cell
    return cell[: longest // 2 - 2] + "..." + cell[-(longest // 2 - 1) :]
