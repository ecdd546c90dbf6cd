"""Asterisk's configuration, rendered: nothing is edited by hand in Asterisk.

``render(settings, secrets, places)`` gives every file's text from one validated settings object. Each
value passes one serializer (``plain``) that refuses what Asterisk's files would read as more than a value.
"""

from dialplans.render import MODULES, Places, UnsafeValue, plain, render, write

__all__ = ["MODULES", "Places", "UnsafeValue", "plain", "render", "write"]
