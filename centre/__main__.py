"""The command line: ``./1551 COMMAND``. One function a command; the work is elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from centre import settings as configuration
from centre.provision import ProvisionError
from centre.provision.assets import ensure_assets
from centre.settings import ROOT, Settings
from centre.texts import of_error, sentence, terminal_language
from crm.errors import CentreError


def say(line: str) -> None:
    """Progress and remarks go to stderr; stdout is for what was asked."""
    print(line, file=sys.stderr, flush=True)


def prepare(settings: Settings) -> None:
    """What every start needs: folders, tables, the city's data, the spoken prompts. Idempotent."""
    from crm import seed, store
    from ivr import build_prompts

    os.umask(0o077)
    for folder in (settings.var, settings.line_socket.parent, settings.spool, settings.recordings):
        folder.mkdir(parents=True, exist_ok=True)
    store.migrate(settings.database_url)
    db = store.Database(settings.database_url)
    try:
        with db.write() as conn:
            seed.load_seed(conn, datetime.now(UTC))
    finally:
        db.close()
    build_prompts.build(settings, say)
    ensure_assets()


def up(args: argparse.Namespace) -> int:
    from centre.up import run

    settings = configuration.load()
    prepare(settings)
    return asyncio.run(run(settings, configuration.load_secrets(settings), say))


def line(args: argparse.Namespace) -> int:
    from centre.line import run

    settings = configuration.load()
    return run(settings, configuration.load_secrets(settings))


def web(args: argparse.Namespace) -> int:
    from web.server import serve

    settings = configuration.load()
    serve(settings, configuration.load_secrets(settings))
    return 0


def portal(args: argparse.Namespace) -> int:
    from web.portal.server import serve

    settings = configuration.load()
    serve(settings, configuration.load_secrets(settings))
    return 0


def post(args: argparse.Namespace) -> int:
    from centre.post import run

    settings = configuration.load()
    return run(settings, configuration.load_secrets(settings))


def demo(args: argparse.Namespace) -> int:
    from centre.demo import crowd, story

    calls, seats = (40, 4) if args.crowd else (12, 3)
    run = crowd.run if args.crowd else story.run
    return asyncio.run(run(calls=args.calls or calls, seats=args.seats or seats, as_json=args.json, say=say))


def month(args: argparse.Namespace) -> int:
    from centre.sample_life.run import run

    return run(days=args.days, a_day=args.a_day, number=args.seed, language=args.language, as_json=args.json, say=say)


def test(args: argparse.Namespace) -> int:
    from centre import provision

    for tool in ("asterisk", "sipp", "espeak-ng", "sox", "chromium", "exim", "dovecot"):
        provision.ensure(tool)
    ensure_assets()
    os.chdir(ROOT)
    # All of them: side by side, a file's in one place, for those of a file share what takes long to start; one more at
    # a time than a small machine has cores, for scenarios wait most of the time.
    how = args.rest or ["-n", str(min((os.cpu_count() or 2) + 1, 4)), "--dist", "loadfile", "--no-loadscope-reorder"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *how])


def backup(args: argparse.Namespace) -> int:
    from centre.backup import backup
    from crm.store import Database

    settings = configuration.load()
    db = Database(settings.database_url)
    try:
        print(backup(settings, db, Path(args.file) if args.file else None))
    finally:
        db.close()
    return 0


def restore(args: argparse.Namespace) -> int:
    from centre.backup import restore

    settings = configuration.load(var=Path(args.into).absolute()) if args.into else configuration.load()
    done, language = restore(Path(args.file), settings, force=args.force), terminal_language()
    say(sentence("restored.done", language, rows=done.rows, recordings=done.recordings, place=settings.var,
                 made_at=f"{done.made_at:%Y-%m-%d %H:%M} UTC"))  # fmt: skip
    if done.settings_left:
        say(sentence("restored.settings_left", language, file=done.settings_left))
    if done.replaced:
        say(sentence("restored.replaced", language, files=", ".join(path.name for path in done.replaced)))
    return 0


def doctor(args: argparse.Namespace) -> int:
    from centre.doctor import main

    settings = configuration.load()
    return main(settings, configuration.load_secrets(settings))


def on_record(args: argparse.Namespace) -> int:
    from centre import listings

    rows: list[dict[str, Any]] = getattr(listings, args.command)(configuration.load(), args.limit)
    if args.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        print(listings.table(rows))
    return 0


def bench(args: argparse.Namespace) -> int:
    sys.path.insert(0, str(ROOT))
    if not (ROOT / "bench" / f"{args.name}.py").exists():
        names = ", ".join(sorted(p.stem for p in (ROOT / "bench").glob("[a-z]*.py")))
        raise SystemExit(f"There is no benchmark {args.name!r}; there are: {names}.")
    code: int = importlib.import_module(f"bench.{args.name}").main(args.rest)
    return code


def database(args: argparse.Namespace) -> int:
    from crm import store

    url = configuration.load().database_url
    if args.what == "upgrade":
        os.umask(0o077)
        store.migrate(url)
    print(store.current(url))
    return 0


def user(args: argparse.Namespace) -> int:
    from centre import accounts

    return accounts.main(configuration.load(), args, say)


def import_(args: argparse.Namespace) -> int:
    from centre import imports

    return imports.main(configuration.load(), args.kind, Path(args.file), dry=args.dry_run, say=say)


def export(args: argparse.Namespace) -> int:
    from centre import dump

    settings = configuration.load()
    rows = dump.write(settings.database_url, Path(args.file), public=args.public)
    say(sentence("dumped.done", terminal_language(), file=args.file, rows=rows))
    return 0


def asterisk(args: argparse.Namespace) -> int:
    from centre.asterisk import Asterisk

    settings = configuration.load()
    running = Asterisk(settings, configuration.load_secrets(settings))
    if args.reload:
        running.reload()
    if args.rx:
        print(running.rx(args.rx))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="1551", description="The 1551 contact centre.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, do: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        return sub

    command("up", up, "start the whole centre; Ctrl-C stops it")
    command("line", line, "the telephone side alone (`up` starts it)")
    command("web", web, "the console alone (`up` starts it)")
    command("portal", portal, "the residents' pages and the API alone (`up` starts it)")
    command("post", post, "what fetches letters and sends what must be told, alone (`up` starts it)")
    sub = command("demo", demo, "the whole story with real calls on free ports and a database of its own")
    sub.add_argument("--calls", type=int, help="residents who call: 12 (at least 3 more than seats), of a crowd 40")
    sub.add_argument("--seats", type=int, help="seats that answer: 3 (at least 2), for a crowd 4")
    sub.add_argument("--crowd", action="store_true", help="a district calls at once, and what plain queueing had done")
    sub.add_argument("--json", action="store_true")
    sub = command("month", month, "a month of generated life in simulated time, and its report; nothing is kept")
    sub.add_argument("--days", type=int, default=30)
    sub.add_argument("--a-day", type=int, default=2500, help="appeals a day, on average")
    sub.add_argument("--seed", type=int, default=1551, help="the same number gives the same figures")
    sub.add_argument("--language", choices=("uk", "en"), default="uk")
    sub.add_argument("--json", action="store_true")
    command("test", test, "every test; what follows goes to pytest")
    sub = command("backup", backup, "database, recordings and settings into one file")
    sub.add_argument("file", nargs="?")
    sub = command("restore", restore, "what a backup holds, into the centre's folder or another")
    sub.add_argument("file")
    sub.add_argument("--into", help="another folder instead of the settings' own")
    sub.add_argument("--force", action="store_true", help="replace what is there")
    command("doctor", doctor, "check machine, configuration and secrets; say what to do")
    for name, text in (("calls", "calls on record"), ("appeals", "appeals on record"),
                       ("seats", "seats and their SIP names")):  # fmt: skip
        sub = command(name, on_record, text)
        sub.add_argument("--json", action="store_true")
        sub.add_argument("--limit", type=int, default=1000)
    sub = command("bench", bench, "one benchmark under bench/")
    sub.add_argument("name", help="what follows (--json, the benchmark's own options) goes to it")
    sub = command("db", database, "the database's revision; upgrade it")
    sub.add_argument("what", choices=("current", "upgrade"))
    sub = command("user", user, "people who sign in")
    sub.add_argument("what", choices=("add", "list", "password", "second-factor", "disable", "enable"))
    sub.add_argument("login", nargs="?")
    sub.add_argument("--name", default="")
    sub.add_argument("--role", default="operator")
    sub.add_argument("--department", default="")
    sub = command("import", import_, "the city's data from a CSV or XLSX file, whole or not at all")
    sub.add_argument("kind", choices=("addresses", "departments", "subjects", "networks", "programmes", "users",
                                      "appeals"))  # fmt: skip
    sub.add_argument("file")
    sub.add_argument("--dry-run", action="store_true", help="say what would come of it; change nothing")
    sub = command("export", export, "everything as CSV files that explain themselves, in a new ZIP")
    sub.add_argument("file")
    sub.add_argument("--public", action="store_true", help="without anything personal")
    sub = command("asterisk", asterisk, "Asterisk's own console; reload what is rendered anew")
    sub.add_argument("-rx", "--rx", metavar="COMMAND")
    sub.add_argument("--reload", action="store_true")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the process's exit code."""
    args, rest = _parser().parse_known_args(argv)
    if rest and args.command not in ("test", "bench"):
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    do: Callable[[argparse.Namespace], int] = args.do
    try:
        return do(args)
    except CentreError as error:
        say(of_error(error, terminal_language()))
        return 1
    except BrokenPipeError:  # `./1551 calls | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ProvisionError as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
