"""Templates into HTML: everything escaped, an unknown name an error; and the files that pages load."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from centre.provision.assets import ensure_assets
from crm import phones
from crm.addresses import BuildingLine
from web.live import card_of
from web.menu import menu
from web.tables import Grouped, percent
from web.texts import texts

HERE = Path(__file__).parent
_YEAR = "public, max-age=31536000, immutable"


def masked(e164: str) -> str:
    """A number for eyes that need not know it: +380 44 ••• 45 67."""
    return f"{phones.display(e164)[:7]} ••• {e164[-4:-2]} {e164[-2:]}" if len(e164) > 8 else e164


def line_of(building: BuildingLine) -> str:
    """An address as it is typed and read: вулиця Хрещатик, 36."""
    return f"{building.street}, {building.number}"


def dialled(phone: str) -> str:
    """The first number of a telephone as it is written in the directory, as it is dialled: 044 000-10-01, дод. 5."""
    return re.sub(r"[^+0-9]", "", re.split(r"[,;/]", phone)[0])


class Renderer:
    """``renderer(template, language, values)`` → HTML. Templates call the language's texts ``t``."""

    def __init__(self) -> None:
        files = (path for folder in (HERE / "static", ensure_assets()) for path in folder.iterdir() if path.is_file())
        self.static = {path.name: path.read_bytes() for path in files}
        self._marks = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in self.static.items()}
        self._environment = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True,
                                        undefined=StrictUndefined, lstrip_blocks=True)  # fmt: skip
        self._environment.globals.update(static=self.address_of, phone=phones.display, masked=masked, line_of=line_of,
                                         card_of=card_of, dialled=dialled, menu=menu, percent=percent,
                                         grouped=Grouped)  # fmt: skip
        self._environment.filters.update(query=urlencode, instant=datetime.fromisoformat)

    def __call__(self, template: str, language: str, values: Mapping[str, object]) -> str:
        return self._environment.get_template(template).render(values, t=texts(language))

    def address_of(self, name: str) -> str:
        """A static file's address, which changes when the file does, so that browsers may keep it for ever."""
        return f"/static/{name}?v={self._marks[name]}"

    async def serve_static(self, request: Request) -> Response:
        """One of the files read at the start; there are no others to reach."""
        name = request.path_params["name"]
        if name not in self.static:
            return Response(status_code=404)
        kept = _YEAR if request.query_params.get("v") == self._marks[name] else "no-cache"
        return Response(self.static[name], media_type=mimetypes.guess_type(name)[0], headers={"Cache-Control": kept})
