"""The console's process: the application on uvicorn, with the database and the line's socket it works with."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from centre import certificates
from centre.bus import Client
from centre.settings import Secrets, Settings
from crm.store import Database
from web import sip_proxy
from web.app import create_app

log = logging.getLogger(__name__)

LOOK_S = 3600.0  # how often the certificate is looked at
STOPPING = 5  # seconds that answers being written may take when the server is told to stop


class _Server(uvicorn.Server):
    """Ends the streams when told to stop, for an open one would keep the server for ever; and looks after the
    certificate: a new one, made here or put there, is taken without a restart."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings
        self._caring: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.config.ssl is not None:
            self._caring = asyncio.create_task(self._care(self.config.ssl))

    async def _care(self, context: ssl.SSLContext) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                its = await asyncio.to_thread(certificates.ready, self._settings, datetime.now(UTC))
                if its is not None:
                    context.load_cert_chain(its.certificate, its.key)
            except (OSError, ValueError) as error:
                log.error("the certificate of the pages was not renewed: %s", error)

    def handle_exit(self, sig: int, frame: object) -> None:
        self.config.app.state.parts.hub.close()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def serve(settings: Settings, secrets: Secrets) -> None:
    """Serves the console until SIGINT or SIGTERM."""
    db = Database(settings.database_url)
    try:
        app = create_app(settings, db, Client(settings.line_socket), secret=secrets.web)
        its = certificates.ready(settings, datetime.now(UTC))
        _Server(config(app, settings.web_bind, settings.web_port, its.certificate if its else None,
                        its.key if its else None), settings).run()  # fmt: skip
    finally:
        db.close()


def config(app: Starlette, host: IPv4Address, port: int, certificate: Path | None, key: Path | None) -> uvicorn.Config:
    """How an application of ours is served."""
    return uvicorn.Config(
        app, host=str(host), port=port, ssl_certfile=certificate, ssl_keyfile=key, loop="uvloop", http="httptools",
        ws="websockets-sansio", ws_max_size=sip_proxy.MOST, ws_per_message_deflate=False, access_log=False,
        server_header=False, timeout_graceful_shutdown=STOPPING, log_level="warning", limit_concurrency=2000,
    )  # fmt: skip
