"""``textvae recipes``: the named settings."""

from pathlib import Path
from typing import Annotated

import typer

from textvae_cli import console, options


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one, as TOML.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the recipes, or print one.

    To change one: textvae recipes NAME > my.toml, and textvae train FILE --recipe my.toml.
    """
    from textvae import recipes as stored
    from textvae_cli.render import table

    if name is not None:
        settings = stored.load_recipe(name)
        if as_json:
            console.document({"name": name, "settings": settings.to_dict()})
        else:
            path = Path(name) if name.endswith(".toml") else stored.FOLDER / f"{name}.toml"
            for line in path.read_text("utf-8").splitlines():
                console.out(line)
        return
    found = stored.recipes()
    if as_json:
        console.document({"recipes": [{"name": key, "description": value} for key, value in found.items()]})
    else:
        table({"recipe": "left", "what it is for": "left"}, list(found.items()))
