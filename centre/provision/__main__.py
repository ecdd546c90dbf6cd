"""``python -m centre.provision [--renew] [name…]``: progress on stderr, what there is as one JSON object on stdout."""

from __future__ import annotations

import argparse
import json
import sys

from . import RECIPES, ProvisionError, ensure


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m centre.provision", description="Have the programs the project runs."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(RECIPES)}; all by default")
    parser.add_argument("--renew", action="store_true", help="fetch Debian's packages again, for newer versions")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(RECIPES)):
        parser.error(f"no such program: {', '.join(unknown)}")
    try:
        tools = {name: ensure(name, renew=arguments.renew).as_json() for name in arguments.names or RECIPES}
    except ProvisionError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(tools, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
