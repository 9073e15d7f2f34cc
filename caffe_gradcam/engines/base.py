from prototxt_tools.errors import InputError


class EngineError(InputError):
    """x"""
