"""Addresses of hosts that show pages to people where programs expect files."""

import re
from typing import Optional

_HOSTS = {"Google Drive": ("drive.google.com", "docs.google.com", "drive.usercontent.google.com"),
          "OneDrive": ("onedrive.live.com", "1drv.ms", "sharepoint.com")}


def host(url: str) -> str:
    """The name of the host of an address, in lower case."""
    return re.sub(r"^\w+://(?:[^/@]*@)?", "", url).split("/")[0].split(":")[0].lower()


def is_page(url: str) -> bool:
    """Whether an address belongs to a host that often shows a page instead of the file."""
    return service(url) is not None


def service(url: str) -> Optional[str]:
    """ "Google Drive", "OneDrive" or None."""
    name = host(url)
    return next((label for label, domains in _HOSTS.items()
                 if any(name == domain or name.endswith("." + domain) for domain in domains)),
                None)


def direct(url: str) -> str:
    """The address that gives the file itself, where the host lets programs have it."""
    key = re.search(r"drive\.google\.com/(?:open\?id=|uc\?.*?id=|file/d/)([\w-]{10,})", url)
    if key:
        return "https://drive.google.com/uc?export=download&id=" + key.group(1)
    return url


def gist(number: object) -> str:
    """The address of all files of a gist, as an archive."""
    if not re.match("[0-9a-f]+$", str(number)):
        return ""
    return f"https://gist.github.com/{number}/download"
