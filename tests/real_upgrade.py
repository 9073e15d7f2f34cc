"""Caffe's own upgrade of old net definitions, called through ctypes. Needs pycaffe."""

import ctypes
import faulthandler
import os

from real_parser import _ROOM, _STRING, _library, _String, construct

_READ = f"_ZN5caffe30ReadNetParamsFromTextFileOrDieERK{_STRING}PNS_12NetParameterE"
_WRITE = "_ZN5caffe20WriteProtoToTextFileERKN6google8protobuf7MessageEPKc"


def upgraded(path, scratch):
    """The ``caffe_pb2.NetParameter`` that Caffe makes of a file, or None where it aborts.

    Parameters
    ----------
    path, scratch : str
        The net; a file to write.
    """
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    if os.path.exists(scratch):
        os.remove(scratch)
    in_child(_upgrade, path, scratch)
    if not os.path.exists(scratch):
        return None
    with open(scratch) as file:
        return text_format.Parse(file.read(), caffe_pb2.NetParameter())


def in_child(function, *arguments):
    """Call a function in a forked child, since Caffe aborts; whether it came to its end."""
    child = os.fork()
    if not child:
        faulthandler.disable()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        code = 1
        try:
            function(*arguments)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def _upgrade(path, scratch):
    library = _library("libcaffe")
    net = ctypes.create_string_buffer(_ROOM)
    construct(library, net)
    name = path.encode()
    held = ctypes.create_string_buffer(name, len(name) + 1)
    string = _String(ctypes.addressof(held), len(name), b"")
    getattr(library, _READ)(ctypes.byref(string), net)
    getattr(library, _WRITE)(net, scratch.encode())
