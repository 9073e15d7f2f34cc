"""Tables on the terminal."""

import sys


def print_table(text: str) -> None:
    """Print lines that may hold ±, also where the terminal's encoding has no such letter."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("±", "+-").encode(encoding, "backslashreplace").decode(encoding)
    print(text)
