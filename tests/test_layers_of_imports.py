"""Imports go one way, the library prints nothing, and every module says what it is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    "textvae": sorted((ROOT / "textvae").rglob("*.py")),
    "textvae_corpora": sorted((ROOT / "corpora" / "textvae_corpora").rglob("*.py")),
    "textvae_cli": sorted((ROOT / "cli" / "textvae_cli").rglob("*.py")),
}
PARTS = ["encoders", "decoders", "likelihoods", "posteriors", "priors", "corruptions", "schedules", "codecs"]
ABOVE_PARTS = ["autoencoder", "trainer", "model_folder", "text_vae", "assembly", "run_folder", "checkpoint"]
NEVER_IN = {
    "textvae": {"rich", "typer", "datasets", "textvae_cli", "textvae_corpora", "cli", "corpora"},
    "textvae_corpora": {"rich", "typer", "textvae_cli", "cli", "corpora"},
    "textvae_cli": {"cli", "corpora", "click"},
}
ALL = [pytest.param(package, path, id=str(path.relative_to(ROOT))) for package in MODULES for path in MODULES[package]]


def imported(path):
    """The dotted names that a file imports, wherever in it, those that start with a dot resolved."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize(("package", "path"), ALL)
def test_arrows_go_from_the_commands_to_the_corpora_to_the_library(package, path):
    assert not NEVER_IN[package] & {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("part", PARTS)
def test_parts_know_nothing_of_what_is_built_from_them(part):
    place = ROOT / "textvae" / part
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert paths
    for path in paths:
        for name in imported(path):
            above = name.split(".")[1:2] if name.startswith("textvae.") else []
            assert not set(above) & set(ABOVE_PARTS), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES["textvae"], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_prints_nothing_and_configures_no_logging(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "input", "logging.basicConfig", "sys.stdout.write", "sys.stderr.write"}
            assert not called.endswith("addHandler")


@pytest.mark.parametrize(("package", "path"), ALL)
def test_every_module_opens_with_a_sentence(package, path):
    doc = ast.get_docstring(ast.parse(path.read_text()))
    assert doc, f"{path} says nothing of itself"
    assert doc.split("\n\n")[0].rstrip().endswith((".", ":"))
