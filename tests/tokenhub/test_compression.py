"""Pages and style sheets travel compressed; what is compressed already, and what a machine asks for plainly, does not."""

import gzip

import httpx
import pytest

from tests.gateway.conftest import sandbox, site  # noqa: F401 - fixtures
from tests.servers import Server


def raw(url: str, encoding: str) -> httpx.Response:
    with httpx.stream("GET", url, headers={"accept-encoding": encoding}) as response:
        response._content = b"".join(response.iter_raw())
        return response


@pytest.mark.parametrize("path", ["/", "/static/css/components.css", "/models"])
def test_text_is_compressed_for_whoever_takes_it(site: Server, path: str) -> None:  # noqa: F811
    packed, plain = raw(site.url + path, "gzip"), raw(site.url + path, "identity")
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert len(packed.content) * 2 < len(gzip.decompress(packed.content))
    if path.startswith("/static"):
        assert gzip.decompress(packed.content) == plain.content


def test_fonts_are_not_packed_twice(site: Server) -> None:  # noqa: F811
    assert "content-encoding" not in raw(site.url + "/static/fonts/geist.woff2", "gzip").headers


def test_an_unknown_host_gets_a_400_and_no_crash(site: Server) -> None:  # noqa: F811
    answer = httpx.get(site.url + "/", headers={"host": "elsewhere.example"})
    assert answer.status_code == 400 and "text/html" in answer.headers["content-type"]
