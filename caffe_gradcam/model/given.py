"""The values that a caller and a readme.md give, and where each value came from."""

from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from caffe_gradcam.model import folder, readme
from caffe_gradcam.model.fields import READERS, is_nothing
from prototxt_tools.errors import ModelError

# Gives a value, and where it comes from.
Default = Callable[[], Tuple[Any, str]]

# The origin of values that a caller or the command line gives.
GIVEN = "command line"


class Given:
    """The values that a caller and a readme.md give.

    Parameters
    ----------
    model_folder : str
    section : readme.Section
    overrides : dict
        Field -> value of the caller, or None.

    Attributes
    ----------
    folder, section, overrides
    origins : dict
        Where each value that was taken came from.
    warnings : list of str
    """

    def __init__(self, model_folder: str, section: readme.Section,
                 overrides: Mapping[str, Any]) -> None:
        self.folder = model_folder
        self.section = section
        self.overrides = overrides
        self.origins: Dict[str, str] = {}
        self.warnings: List[str] = list(section.warnings)

    def has(self, name: str, blob: Optional[str] = None) -> bool:
        """Whether the caller or the readme.md gives a field a value other than "none"."""
        value = self.overrides.get(name)
        return not is_nothing(self.section.value(name, blob)[1] if value is None else value)

    def sets(self, name: str, blob: Optional[str] = None) -> bool:
        """Whether the caller or the readme.md gives a field any value, also "none"."""
        return self.overrides.get(name) is not None or self.section.value(name, blob)[0]

    def take(self, name: str, default: Default, blob: Optional[str] = None) -> Any:
        """A field's value: the caller's, else the readme.md's, else what ``default`` finds."""
        value = self.overrides.get(name)
        if value is not None:
            self._note(name, blob, GIVEN)
            return _read(name, value)
        is_given, value = self.section.value(name, blob)
        if is_given:
            self._note(name, blob, folder.README)
            return _read(name, value, self.folder, self.section.path)
        value, origin = default()
        self._note(name, blob, origin)
        return value

    def warn(self, text: str) -> None:
        """Add a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def _note(self, name: str, blob: Optional[str], origin: str) -> None:
        is_first = blob is None or name not in self.origins
        self.origins[name if is_first else f"{blob}.{name}"] = origin


def _read(name: str, value: Any, model_folder: str = "", path: str = "") -> Any:
    """The value of a field: of the caller's, or of a readme.md in a model's folder."""
    try:
        return READERS[name](value, model_folder)
    except ValueError as error:
        field = name.replace("_", "-")
        message = f"{path}: {field} {error}" if path else f"{field} {error}"
        raise ModelError(message, path or name) from None
