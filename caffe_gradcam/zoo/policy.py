"""How patient a download is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """How patient a download is; all times in seconds.

    Attributes
    ----------
    connect, stall : float
        How long to wait for a connection, and for the next bytes.
    tries : int
        Attempts at one address that bring little or nothing, before the next one is tried.
    pause, longest_pause : float
        The pause before the second attempt, doubled each time, and its limit; a host that asks
        for a longer one is given up.
    redirects : int
        At most so many.
    slowest : float
        Bytes per second, on average over ``stall`` seconds, below which a connection is given up.
    largest : int
        The most bytes of a file whose size is not known.
    """

    connect: float = 15
    stall: float = 60
    tries: int = 5
    pause: float = 1
    longest_pause: float = 60
    redirects: int = 10
    slowest: float = 100
    largest: int = 8 << 30
