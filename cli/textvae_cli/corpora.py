"""``textvae corpora``: the corpora that have a name."""

from typing import Any

from textvae.errors import RequestError
from textvae_cli import console, options


def corpora(as_json: options.Json = False) -> None:
    """List the corpora that have a name.

    Any file, folder or Hugging Face dataset can be trained on, too.
    """
    from textvae_cli.render import table
    from textvae_corpora import NAMES, Options
    from textvae_corpora.sources import splits_of

    rows: list[dict[str, Any]] = []
    for name, named in NAMES.items():
        row = {"name": name, "about": named.about}
        try:
            splits = [split for split in splits_of(name, Options())[1] if split != "all"]
            rows.append({**row, "present": True, "splits": splits, "why_not": None})
        except RequestError as error:
            rows.append({**row, "present": False, "splits": [], "why_not": str(error)})
    if as_json:
        console.document({"corpora": rows})
        return
    table(
        {"corpus": "left", "here": "left", "what": "left", "splits": "left"},
        [
            (r["name"], "yes" if r["present"] else "no", r["about"], r["why_not"] or ", ".join(r["splits"]))
            for r in rows
        ],
    )
