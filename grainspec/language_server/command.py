"""``grain language-server``: findings, completion and the rest for editors."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click

from grainspec.diagnostics import fail
from grainspec.extras import install_cure

if TYPE_CHECKING:
    from grainspec.language_server.server import GrainServer


@click.command("language-server")
@click.option("--stdio", is_flag=True, help="Speak over standard input and output; the default.")
@click.option(
    "--tcp",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Wait for one connection at this port of this machine.",
)
def language_server(stdio: bool, tcp: int | None) -> None:
    """Serve editors: findings as you type, completion, hover, rename, formatting.

    Editors start this command themselves and speak the language server protocol with it. The
    reference's page about editors says how each is set up.

    \b
    Examples:
      grain language-server
      grain language-server --tcp 7007
    """
    if stdio and tcp is not None:
        raise click.UsageError("`--stdio` and `--tcp` exclude each other")
    made = load_server()
    # Walking through all that was loaded would hold up an answer by 60 ms now and then.
    made.when_loaded = gc.freeze
    if tcp is None:
        made.start_io()
    else:
        made.protocol.ends_process = False  # it ends when its only connection does
        made.start_tcp("127.0.0.1", tcp)


def load_server() -> GrainServer:
    """A new server; raises GrainError (G501) if the extra ``editor`` is not installed."""
    try:
        from grainspec.language_server.server import server
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package == "grainspec":
            raise
        message = f"this command requires {package}, which is not installed"
        raise fail("G501", message, install_cure(package)) from error
    return server()
