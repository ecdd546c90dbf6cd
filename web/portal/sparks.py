"""One answer in two notations, as GeoReport v2 has them: JSON, and the XML that it is mapped from.

The Spark convention: an element with children of one kind is a list, any other with children an object; what is empty
is null. https://wiki.open311.org/JSON_and_XML_Conversion
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from xml.etree import ElementTree

Value: TypeAlias = "str | int | bool | Mapping[str, Value] | Sequence[Value] | None"

TYPES = {"json": "application/json; charset=utf-8", "xml": "text/xml; charset=utf-8"}
# What each of a list is called.
_ONE = {"services": "service", "attributes": "attribute", "values": "value", "service_requests": "request",
        "errors": "error", "endpoints": "endpoint", "formats": "format"}  # fmt: skip
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(root: str, value: Value, notation: str) -> bytes:
    """``value`` in "json" or "xml"; there it is the element ``root``."""
    if notation == "json":
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    written: bytes = ElementTree.tostring(_element(root, value), "utf-8", xml_declaration=True)
    return written


def _element(name: str, value: Value) -> ElementTree.Element:
    element = ElementTree.Element(name)
    if isinstance(value, Mapping):
        element.extend(_element(key, each) for key, each in value.items())
    elif isinstance(value, str | bool | int):
        said = str(value).lower() if isinstance(value, bool) else str(value)
        element.text = _NO_XML.sub("", said)
    elif value is not None:
        element.extend(_element(_ONE[name], each) for each in value)
    return element
