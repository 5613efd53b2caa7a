"""The table of raw routes: relays go to the gateway, everything else to Django. The server's lifespan opens the gateway."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenhub.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from gateway import app as gateway  # noqa: E402 - models need the registry that was just filled

relays = gateway.Gateway()


async def application(scope: dict[str, Any], receive: gateway.Receive, send: gateway.Send) -> None:
    if scope["type"] == "http":
        if scope["path"] in gateway.PATHS:
            await relays(scope, receive, send)
        else:
            await django_application(scope, receive, send)  # type: ignore[arg-type]
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        raise ValueError(f"cannot serve {scope['type']}")


async def _lifespan(receive: gateway.Receive, send: gateway.Send) -> None:
    await receive()
    try:
        await relays.open()
    except Exception as e:
        await send({"type": "lifespan.startup.failed", "message": f"the gateway cannot open: {e}"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await relays.close()
    await send({"type": "lifespan.shutdown.complete"})
