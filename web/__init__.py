"""The pages: the live view, the desk's forms, ``/healthz`` and ``/metrics``."""

from web.app import create_app

__all__ = ["create_app"]
