"""The software of this machine, as a bill of materials."""

import re
from typing import Any, Dict, Iterator

from prototxt_tools import files

_DEBIAN_STATUS, _RELEASE = "/var/lib/dpkg/status", "/etc/os-release"


def bill_of_materials() -> Dict[str, Any]:
    """What is installed, as CycloneDX 1.5: Python distributions, and Debian's packages where there
    are any. Before Python 3.8, the distributions are not known."""
    components = sorted([*_distributions(), *_debian()],
                        key=lambda component: (component["name"].lower(), component["version"]))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "components": components}


def _distributions() -> Iterator[Dict[str, str]]:
    try:
        from importlib import metadata
    except ImportError:
        return
    for distribution in metadata.distributions():
        name, version = str(distribution.metadata["Name"]), str(distribution.version)
        normal = re.sub(r"[-_.]+", "-", name).lower()
        yield _component(name, version, f"pkg:pypi/{normal}@{version}")


def _debian() -> Iterator[Dict[str, str]]:
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', files.readable_text(_RELEASE),
                              re.MULTILINE))
    system = release.get("ID", "debian")
    for paragraph in files.readable_text(_DEBIAN_STATUS).split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph,
                                 re.MULTILINE))
        if fields.get("Status", "").endswith(" installed") and len(fields) == 4:
            version = fields["Version"].replace("+", "%2B").replace(":", "%3A")
            yield _component(fields["Package"], fields["Version"],
                             f"pkg:deb/{system}/{fields['Package']}@{version}"
                             f"?arch={fields['Architecture']}")


def _component(name: str, version: str, purl: str) -> Dict[str, str]:
    return {"type": "library", "name": name, "version": version, "purl": purl}
