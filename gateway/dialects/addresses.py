"""Which addresses a caller may have a vendor fetch. Pure."""

import ipaddress
from urllib.parse import urlsplit

ADDRESS_CHARACTERS_MAX = 8_192
IMAGE_DATA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def is_image_data(url: str) -> bool:
    return url.startswith(tuple(f"data:{kind};" for kind in IMAGE_DATA_TYPES))


def is_public(url: str) -> bool:
    """https on the default port of a public host. The vendor fetches it, we never do."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").strip("[]"), parts.port
    except ValueError:
        return False
    is_plain = parts.scheme == "https" and parts.username is None and port in (None, 443)
    return is_plain and len(url) <= ADDRESS_CHARACTERS_MAX and _is_public_host(host)


def _is_public_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:  # a name; numeric spellings of addresses (0x7f.1, 2130706433) are no names
        name = host.rstrip(".").lower()
        last = name.rpartition(".")[2]
        return bool(last) and name != "localhost" and not last.isdecimal() and not last.startswith("0x")
