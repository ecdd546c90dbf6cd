"""The web's process: the application on uvicorn, with the database and the line's socket it works with."""

from __future__ import annotations

import uvicorn

from centre.bus import Client
from centre.settings import Secrets, Settings
from crm.store import Database
from web import sip_proxy
from web.app import create_app

STOPPING = 5  # seconds that answers being written may take when the server is told to stop


class _Server(uvicorn.Server):
    """Ends the streams when told to stop; an open one would keep the server for ever."""

    def handle_exit(self, sig: int, frame: object) -> None:
        self.config.app.state.parts.hub.close()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def serve(settings: Settings, secrets: Secrets) -> None:
    """Serves the pages until SIGINT or SIGTERM."""
    db = Database(settings.database_url)
    try:
        app = create_app(settings, db, Client(settings.line_socket), secret=secrets.web)
        _Server(uvicorn.Config(
            app, host=str(settings.web_bind), port=settings.web_port, loop="uvloop", http="httptools",
            ws="websockets-sansio", ws_max_size=sip_proxy.MOST, ws_per_message_deflate=False, access_log=False,
            server_header=False, timeout_graceful_shutdown=STOPPING, log_level="warning", limit_concurrency=2000,
        )).run()  # fmt: skip
    finally:
        db.close()
