"""Stories need the same served gateway and customers as the gateway's own tests."""

from tests.gateway.conftest import sandbox, site

__all__ = ["sandbox", "site"]
