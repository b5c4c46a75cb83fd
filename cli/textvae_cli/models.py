"""``textvae models``: the models that are at hand."""

import os
from pathlib import Path
from typing import Any

from textvae_cli import console, loading, options


def models(as_json: options.Json = False) -> None:
    """List the models here, with their validation numbers.

    The first is the one that commands take where no --model is given.
    """
    from textvae_cli.render import Side, table

    places: list[tuple[str, Path, str]] = []
    if named := os.environ.get(loading.VARIABLE):
        folder = Path(named)
        places.append((named, folder / "model" if (folder / "model").is_dir() else folder, f"${loading.VARIABLE}"))
    places += [(str(run), run / "model", "run") for run in loading.runs()]
    places += [(str(path), path, "ships with textvae") for path in loading.shipped()]
    rows: list[dict[str, Any]] = []
    for name, folder, kind in places:
        facts = loading.facts(folder)
        numbers = facts.get("validation", {})
        rows.append({"model": name, "kind": kind, "recipe": facts.get("recipe"), "validation": numbers})
    if as_json:
        console.document({"models": rows})
        return
    if not rows:
        console.say("There is no model yet. Train one: textvae train FILE, a text file with a sentence a line.")
        return
    headings: dict[str, Side] = {"model": "left", "": "left", "recipe": "left"}
    headings |= dict.fromkeys(("NLL", "KL", "perplexity", "tokens", "units"), "right")
    table(headings, [(r["model"], r["kind"], r["recipe"] or "", *_numbers(r["validation"])) for r in rows])


def _numbers(values: dict[str, Any]) -> tuple[str, ...]:
    if not values:
        return ("",) * 5
    units = f"{values.get('active_units', 0)}/{values.get('latent_size', 0)}"
    shown = [f"{values[key]:,.2f}" if key in values else "" for key in ("nll", "rate", "perplexity")]
    return *shown, f"{values.get('tokens', 0):,}", units
