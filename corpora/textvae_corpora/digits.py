"""The 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn."""

from __future__ import annotations

from textvae.errors import RequestError
from textvae_corpora.arrays import pictures
from textvae_corpora.base import Options, Split, Splits


def splits(name: str, argument: str, options: Options) -> Splits:
    """One split; its values 0 … 16 become 0 … 255."""

    def read() -> Split:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise RequestError("The digits come with scikit-learn: pip install 'textvae[images]'.") from None
        images, labels = load_digits(return_X_y=True)
        return pictures(images.reshape(-1, 8, 8) / 16, "digits", options, labels)

    return {"all": read}
