"""Recipes: named settings in TOML files beside this one, to be read, copied and overridden."""

from pathlib import Path

from textvae.errors import RequestError
from textvae.registry import did_you_mean
from textvae.settings import Settings, read_toml

FOLDER = Path(__file__).parent


def recipes() -> dict[str, str]:
    """The name of each recipe and the first line of its file, which says what it is for."""
    paths = sorted(FOLDER.glob("*/*.toml"))
    return {
        path.relative_to(FOLDER).with_suffix("").as_posix(): path.read_text("utf-8").split("\n")[0].lstrip("# ")
        for path in paths
    }


def load_recipe(name: str) -> Settings:
    """The settings of a recipe, by name or by the path of a TOML file."""
    if name.endswith(".toml"):
        return Settings.from_toml(Path(name))
    if name not in recipes():
        raise RequestError(f"There is no recipe {name!r}. {did_you_mean(name, recipes())}")
    return Settings.from_dict({**read_toml(FOLDER / f"{name}.toml"), "recipe": name}, f"the recipe {name}")
