"""New text that fits the text around it."""

INDENT = "  "


def quoted(string):
    """A string literal."""
    escaped = string.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def braced(name, *lines):
    """The lines of a message field; ``lines`` are strings or lists of lines."""
    inner = []
    for line in lines:
        inner += [line] if isinstance(line, str) else line
    return [name + " {"] + [INDENT + line for line in inner] + ["}"]


def shape_field(shape):
    """``shape { dim: 1 ... }`` of sizes."""
    return "shape {{ {} }}".format(" ".join(f"dim: {size}" for size in shape))


def put(edits, field, lines):
    """Replace a message field, which may be the element of a list, by another."""
    if field.in_list:
        edits.replace(field.value, " ".join(["{"] + [line.strip() for line in lines[1:]]))
    else:
        edits.replace(field, fitted(field, lines))


def fitted(field, lines):
    """Lines as one text that may stand beside a field, or in its place.

    Indented like the field where it begins its line, else all on one line.
    """
    text = field.source.text
    line_start = text.rfind("\n", 0, field.start) + 1
    before = text[line_start : field.start].lstrip("\ufeff")
    line_end = text.find("\n", field.end)
    after = text[field.end : line_end if line_end >= 0 else len(text)].strip()
    if before.strip() or (after and not after.startswith("#")):
        return " ".join(line.strip() for line in lines)
    first = text.find("\n")
    newline = "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
    return (newline + before).join(lines)
