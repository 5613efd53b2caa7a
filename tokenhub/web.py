"""One web process: pages and gateway behind uvicorn, on the socket that the supervisor opened or on ``HOST:PORT``."""

import gc
import os
import socket
from argparse import ArgumentParser

import uvicorn

from tokenhub import environment
from tokenhub.one_write import OneWriteProtocol

KEEP_ALIVE_SECONDS = 75
#: what is still streaming after this is settled as a hang-up; the supervisor waits a little longer
SHUTDOWN_SECONDS = 10
BACKLOG = 2048


def main() -> None:
    parser = ArgumentParser(prog="python -m tokenhub.web", description=__doc__)
    parser.add_argument("--fd", type=int, help="an open listening socket, inherited; without it HOST and PORT")
    inherited: int | None = parser.parse_args().fd
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenhub.settings")
    server = uvicorn.Server(configuration())
    server.config.load()
    # what is imported stays: the collector need not walk it again
    gc.collect()
    gc.freeze()
    server.run(sockets=[socket.socket(fileno=inherited)] if inherited is not None else None)


def configuration() -> uvicorn.Config:
    return uvicorn.Config(
        "tokenhub.asgi:application",
        host=environment.text("HOST", "127.0.0.1"),
        port=environment.number("PORT", 8000, least=1),
        loop="uvloop",
        http=OneWriteProtocol,
        ws="none",
        lifespan="on",
        log_config=None,  # Django's
        access_log=False,
        server_header=False,
        proxy_headers=False,  # TOKENHUB_TRUSTED_PROXIES decides, within the application
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
