"""Generative autoencoders of text: one model with different parts, one trainer, one model folder."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textvae.decoding import Decoding
    from textvae.text_vae import TextVAE

__version__ = "0.1.0"
__all__ = ["Decoding", "TextVAE", "__version__"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import textvae`` does not wait for torch."""
    if name == "TextVAE":
        from textvae.text_vae import TextVAE

        return TextVAE
    if name == "Decoding":
        from textvae.decoding import Decoding

        return Decoding
    raise AttributeError(f"module 'textvae' has no attribute {name!r}")
