"""What a fresh machine lacks, had without root: the Python environment and the programs the project runs.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

from .recipes import RECIPES
from .tools import TOOLS, Tool, find, unpacked
from .work import ProvisionError

__all__ = ["RECIPES", "TOOLS", "ProvisionError", "Tool", "ensure"]


def ensure(name: str, *, renew: bool = False) -> Tool:
    """The program `name`, ready to run: this machine's own if it is suitable, else Debian's, fetched on first use.

    Args:
        name: a key of `RECIPES`.
        renew: fetch Debian's again, for newer packages.

    Raises:
        ProvisionError: it cannot be had; the text is for the user.
    """
    recipe = RECIPES[name]
    return (None if renew else find(recipe)) or unpacked(recipe, renew=renew)
