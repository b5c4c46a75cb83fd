"""Tensors of modules to safetensors files and back, tied weights stored once."""

from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from textvae.errors import CorruptFolder


class Blank(TorchFunctionMode):
    """Modules made inside have shapes and no values: they take no memory and no time.

    In-place operations (initialisers) are left out: on the "meta" device they import torch's compiler, 1.5 s.
    """

    def __enter__(self) -> Self:
        self._device = torch.device("meta")
        self._device.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._device.__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Skip ``func`` if it ends in an underscore, as torch's in-place operations do."""
        if func.__name__.endswith("_") and not func.__name__.endswith("__"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def aliases(module: nn.Module) -> dict[str, str]:
    """Every name in the module's state → the first name of the same tensor."""
    first: dict[int, str] = {}
    named = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    kept = [key for key in module.state_dict() if key in named]
    return {key: first.setdefault(id(named[key]), key) for key in kept}


def state(module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters and buffers by their first names, detached."""
    names = set(aliases(module).values())
    return {key: value.detach() for key, value in module.state_dict().items() if key in names}


def save(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors to a safetensors file."""
    save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, path)


def load(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; CorruptFolder if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise CorruptFolder(f"{path} is missing or damaged ({error}).") from error


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes that a safetensors file announces, without reading the tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CorruptFolder(f"{path} is missing or damaged ({error}).") from error


def check(module: nn.Module, path: Path) -> None:
    """Raise CorruptFolder unless the file holds just the tensors of this module (which may be on "meta")."""
    expected = {key: tuple(value.shape) for key, value in state(module).items()}
    found = shapes(path)
    for key in sorted(expected.keys() ^ found.keys()):
        word = "lacks" if key in expected else "has an unknown"
        raise CorruptFolder(f"{path} does not go with its config: it {word} tensor {key!r}.")
    for key, shape in expected.items():
        if found[key] != shape:
            raise CorruptFolder(
                f"{path} does not go with its config: {key!r} is {list(found[key])}, not {list(shape)}."
            )


def fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put tensors in place of the module's own, in float32, tied ones tied again."""
    # Copies, for a tensor may begin anywhere in a file, and sums of products round by where their addends begin.
    dtypes = {k: torch.float32 if t.is_floating_point() else t.dtype for k, t in tensors.items()}
    floats = {k: t.to(dtypes[k], copy=True) for k, t in tensors.items()}
    parameters = {key for key, _ in module.named_parameters(remove_duplicate=False)}
    made: dict[str, Tensor] = {k: nn.Parameter(t) if k in parameters else t for k, t in floats.items()}
    module.load_state_dict({key: made[name] for key, name in aliases(module).items()}, assign=True)


def copy_into(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy tensors into the module's own, which an optimiser may already hold."""
    with torch.no_grad():
        for key, value in state(module).items():
            value.copy_(tensors[key])
