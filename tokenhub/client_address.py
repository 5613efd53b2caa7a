"""Where a request comes from. ``X-Forwarded-For`` is believed only as far as trusted proxies wrote it."""

import functools
import ipaddress
from collections.abc import Sequence

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address of the last hop that is not a trusted proxy; the peer itself where it is none. "" where there is none.

    The header is read from its end: whatever a client wrote into it stands before what the proxies added.
    """
    address = _parsed(peer)
    if address is None:
        return ""
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    while hops and any(address in network for network in trusted):
        hop = _parsed(hops.pop())
        if hop is None:
            break
        address = hop
    return str(address)


@functools.lru_cache(4096)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    # an IPv4 client of a dual-stack socket
    return getattr(address, "ipv4_mapped", None) or address
