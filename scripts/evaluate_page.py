"""docs/evaluate.md, which holds tables that scripts make."""

import pathlib

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "evaluate.md"
END = "<!-- end -->"


def put(maker, text):
    """Put a table into the page, between the mark of what makes it and the next end mark."""
    start = f"<!-- made by {maker} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(start)
    after = rest.split(END, 1)[1]
    PAGE.write_text(before + start + "\n" + text + "\n" + END + after, encoding="utf-8")
