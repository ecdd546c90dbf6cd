"""How an unpacked Chromium is started: it starts itself again for each page, and looks for its files beside itself."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from .work import write_whole

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">share/fonts</dir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""

SCRIPT = """#!/bin/sh
export FONTCONFIG_FILE={fonts}
exec {command} --no-sandbox --no-zygote --browser-subprocess-path={script} "$@"
"""


def launcher(prefix: Path, words: Sequence[str]) -> Path:
    """One file that starts Chromium, such as Playwright's `executable_path` wants.

    Chromium takes the program that runs it, which is the loader, for itself: so a copy of the loader lies where
    Chromium's own files are, and the processes it starts go through this script again. Those it would fork
    from a helper (the zygote) do not, hence no zygote, and hence no sandbox: it opens our own pages only.

    Args:
        prefix: where it is unpacked.
        words: loader, options of the loader, program.
    """
    loader, *rest = words
    program = Path(words[-1])
    own_loader = program.with_name("loader")
    script = prefix / "chromium"
    fonts = prefix / "fonts.conf"
    text = SCRIPT.format(
        fonts=shlex.quote(str(fonts)),
        command=shlex.join([str(own_loader), *rest]),
        script=shlex.quote(str(script)),
    )
    if not script.exists() or script.read_text(encoding="utf-8") != text:  # also where the folder was moved
        shutil.copy(loader, own_loader)
        write_whole(fonts, FONTS)
        write_whole(script, text, mode=0o755)
    return script
