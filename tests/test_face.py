"""The public face of prototxt_tools: what it exports, and that it loads nothing heavy."""

import subprocess
import sys

import pytest

import prototxt_tools

EXPORTED = """
    Document Edits EngineError EngineFailed EngineMissing FetchError Graph ImageError InputError
    ModelError Net OutOfMemory Outcome PrototxtError QuestionError WeightsError __version__ layers
    rewrite shapes weights""".split()


def loaded(code):
    """The modules that a new interpreter holds after some code."""
    code += "; import sys; print(' '.join(sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", code]).decode().split())


def test_the_exported_names_are_these():
    assert prototxt_tools.__all__ == EXPORTED


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_name_is_there_and_is_listed(name):
    assert getattr(prototxt_tools, name) is not None
    assert name in dir(prototxt_tools)


def test_importing_the_package_loads_neither_protobuf_nor_numpy():
    assert not {"google.protobuf", "numpy", "h5py"} & loaded("import prototxt_tools")


def test_a_name_loads_only_what_it_needs():
    assert "numpy" not in loaded("from prototxt_tools import Document, Net, Graph, shapes, layers")
    assert "google.protobuf" not in loaded("from prototxt_tools import Document, Edits, layers")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'prototxt_tools' has no attribute 'Nett'"):
        prototxt_tools.Nett  # noqa: B018
