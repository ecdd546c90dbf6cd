"""The portal's process: the application on uvicorn, with the database and the line's socket it works with."""

from __future__ import annotations

import os

import uvicorn

from centre.bus import Client
from centre.settings import Secrets, Settings
from crm.store import Database
from web.portal.app import create_portal
from web.server import config

BEHIND = 10  # niceness: callers come first


def serve(settings: Settings, secrets: Secrets) -> None:
    """Serves the portal until SIGINT or SIGTERM, after everything else that this machine has to do."""
    os.nice(BEHIND)
    db = Database(settings.database_url)
    certificate, key = settings.web_certificate, settings.web_key
    if settings.portal_bind.is_loopback:  # the city's own web server stands before it
        certificate = key = None
    try:
        app = create_portal(settings, db, Client(settings.line_socket), secret=secrets.web, ahead=True)
        uvicorn.Server(config(app, settings.portal_bind, settings.portal_port, certificate, key)).run()
    finally:
        db.close()
