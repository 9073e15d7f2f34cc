"""Addresses of hosts that show pages to people where programs expect files."""

import re

_HOSTS = {"Google Drive": ("drive.google.com", "docs.google.com", "drive.usercontent.google.com"),
          "OneDrive": ("onedrive.live.com", "1drv.ms", "sharepoint.com")}


def host(url):
    """The name of the host of an address, in lower case."""
    return re.sub(r"^\w+://(?:[^/@]*@)?", "", url).split("/")[0].split(":")[0].lower()


def is_page(url):
    """Whether an address belongs to a host that often shows a page instead of the file."""
    return service(url) is not None


def service(url):
    """ "Google Drive", "OneDrive" or None."""
    own = host(url)
    return next((name for name, hosts in _HOSTS.items()
                 if any(own == one or own.endswith("." + one) for one in hosts)), None)


def direct(url):
    """The address that gives the file itself, where the host lets programs have it."""
    key = re.search(r"drive\.google\.com/(?:open\?id=|uc\?.*?id=|file/d/)([\w-]{10,})", url)
    if key:
        return "https://drive.google.com/uc?export=download&id=" + key.group(1)
    return url


def gist(number):
    """The address of all files of a gist, as an archive."""
    if not re.match("[0-9a-f]+$", str(number)):
        return ""
    return f"https://gist.github.com/{number}/download"
