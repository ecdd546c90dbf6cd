"""What the line tells the web, and what the web asks of the line: JSON lines over a Unix socket.

A subscriber first receives ``{"event": "snapshot", …}``, then each event as it happens, without
polling. A request is ``{"id": 7, "do": "pause", …}`` and is answered by ``{"reply": 7, …}``.
"""
