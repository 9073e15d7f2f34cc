"""Tables in the pages of the documentation, each between the mark of what makes it and an end mark.

    <!-- made by scripts/compare-presets -->
    ...
    <!-- end -->
"""

import pathlib

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
EVALUATE = DOCS / "evaluate.md"
END = "<!-- end -->"


def put(page, maker, text):
    """Replace a table; see :func:`split` for the errors."""
    before, after = split(page, maker)
    page.write_text(f"{before}{_start(maker)}\n{text}\n{after}", encoding="utf-8")


def split(page, maker):
    """What stands in the page before a table's mark, and what from its end mark on.

    Raises
    ------
    ValueError
        The page does not have the two marks, or has the first one twice.
    """
    before, *rest = page.read_text(encoding="utf-8").split(_start(maker))
    if len(rest) != 1 or END not in rest[0]:
        raise ValueError(f"{page}: no table between {_start(maker)} and {END}")
    return before, rest[0][rest[0].index(END):]


def _start(maker):
    return f"<!-- made by {maker} -->"
