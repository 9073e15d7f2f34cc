"""Where the fuzzers find their modules, and where they write."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A function that writes a file of that name; each test has one at a time."""
    base = tmp_path_factory.mktemp("fuzz")

    def write(name, data):
        path = base / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    return write
