"""The C++ text parser that Caffe reads nets with, called through ctypes. Needs pycaffe.

Python's ``google.protobuf.text_format`` is another parser with another taste.
"""

import ctypes
import re

_STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
_PARSE = f"_ZN6google8protobuf10TextFormat15ParseFromStringERK{_STRING}PNS0_7MessageE"
_LOG = f"_ZN6google8protobuf13SetLogHandlerEPFvNS0_8LogLevelEPKciRK{_STRING}E"
# Since protobuf 3.13 with a flag.
_NEW = ["_ZN5caffe12NetParameterC1EPN6google8protobuf5ArenaE" + flag for flag in ("", "b")]
_DELETE = "_ZN5caffe12NetParameterD1Ev"
_HANDLER = ctypes.CFUNCTYPE(
    None, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
)
_ROOM = 4096  # bytes; more than any version's NetParameter takes


class _String(ctypes.Structure):
    """libstdc++'s ``std::string``."""

    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("own", ctypes.c_char * 16)]


class RealParser:
    """``TextFormat::ParseFromString`` on a ``caffe.NetParameter``."""

    def __init__(self):
        import caffe  # noqa: F401 (loads libcaffe and libprotobuf)

        self._protobuf, self._caffe = _library("libprotobuf"), _library("libcaffe")
        self._parse = getattr(self._protobuf, _PARSE)
        self._parse.restype = ctypes.c_bool
        self._messages = []
        self._handler = _HANDLER(self._log)

    def refusal(self, text):
        """What the parser says against a text (bytes), or None if it accepts it."""
        net = ctypes.create_string_buffer(_ROOM)
        held = ctypes.create_string_buffer(text, len(text) + 1)
        string = _String(ctypes.addressof(held), len(text), b"")
        del self._messages[:]
        set_handler = getattr(self._protobuf, _LOG)
        set_handler.restype = ctypes.c_void_p
        set_handler.argtypes = [ctypes.c_void_p]
        before = set_handler(ctypes.cast(self._handler, ctypes.c_void_p))
        construct(self._caffe, net)
        try:
            accepted = self._parse(ctypes.byref(string), net)
        finally:
            getattr(self._caffe, _DELETE)(net)
            set_handler(before)
        if accepted:
            return None
        said = self._messages[0] if self._messages else "no reason given"
        return re.sub(r"^Error parsing text-format [\w.]+: ", "", said)

    def _log(self, level, path, line, message):
        if level >= 2:  # errors; warnings accept
            string = ctypes.cast(message, ctypes.POINTER(_String)).contents
            text = ctypes.string_at(string.data, string.size)
            self._messages.append(text.decode("utf-8", "replace"))


def construct(library, room):
    """Make a NetParameter in a buffer of ``_ROOM`` bytes."""
    for name in _NEW:
        if hasattr(library, name):
            getattr(library, name)(room, None, False)
            return
    raise OSError("this libcaffe has no constructor of NetParameter that is known here")


def _library(name):
    """A library of this process; a wheel puts a hash behind its name."""
    with open("/proc/self/maps") as file:
        for line in file:
            if re.search(rf"/{name}(-\w+)?\.so", line):
                return ctypes.CDLL(line.split()[-1])
    raise OSError(f"{name} is not loaded")
