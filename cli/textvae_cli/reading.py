"""A file of examples for a model that is at hand."""

from typing import TYPE_CHECKING

from textvae.errors import RequestError
from textvae_cli import console, loading

if TYPE_CHECKING:
    import numpy as np

    from textvae import TextVAE
    from textvae_corpora import Corpus, Split


def read_for(
    vae: "TextVAE",
    name: str,
    file: str,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str = "utf-8",
    limit: int | None = None,
) -> "Split":
    """The examples of ``file``, in order; RequestError if they are not of the kind that the model reads."""
    from textvae_cli.render import waiting
    from textvae_corpora import load_split

    shape = loading.shape(vae)
    size, colour = (shape[1:], shape[0] == 3) if shape else (None, None)
    with waiting(f"reading {file}"):
        split = load_split(
            file,
            text_column=text_column,
            label_column=label_column,
            encoding=encoding,
            limit=limit,
            size=size,
            colour=colour,
        )
    if (split.kind == "image") != loading.reads_pictures(vae):
        holds, reads = ("pictures", "text") if split.kind == "image" else ("text", "pictures")
        raise RequestError(f"{file} holds {holds}, and the model {name} reads {reads}.")
    for note in split.notes:
        console.say(f"{file}: {note}")
    return split


def trained_on(vae: "TextVAE", name: str) -> "Corpus":
    """The pictures that a model was trained and validated on; RequestError where they are no longer there."""
    from textvae_cli.render import waiting
    from textvae_cli.session import read_corpus

    source = vae.settings.corpus.source
    try:
        with waiting(f"reading {source}"):
            corpus = read_corpus(vae.settings.corpus)
    except RequestError as error:
        raise RequestError(f"What the model {name} was trained on cannot be read again. {error}") from None
    if corpus.kind != "image" or tuple(corpus.train[0].shape) != loading.shape(vae):
        raise RequestError(f"{source} is not what the model {name} was trained on: its pictures have another shape.")
    return corpus


def labels_for(vae: "TextVAE", split: "Split") -> "np.ndarray | None":
    """The split's labels as numbers of the model's classes, −1 for others; None where it has none or uses none."""
    from textvae_corpora.labels import renumber

    classes = vae.settings.model.classes
    return renumber(split.labels, split.classes, classes) if classes else None
