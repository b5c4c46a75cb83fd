"""A trained model with its codec: what a user loads, asks and saves."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from textvae import model_folder
from textvae.assembly import build_model
from textvae.autoencoder import Autoencoder
from textvae.batching import Examples
from textvae.captioned import Captioned
from textvae.codecs import Codec
from textvae.decoding import Decoding, generate
from textvae.errors import RequestError
from textvae.initialise import initialise
from textvae.latent.homotopy import homotopy
from textvae.registry import did_you_mean
from textvae.settings import Settings
from textvae.word_vectors import begin_with_counts


class Step(NamedTuple):
    """One stop of a homotopy: ``t`` from 0 to 1, what is written there, and log p(x|z) in nats."""

    t: float
    raw: Any
    log_prob: float


class Sample(NamedTuple):
    """One draw from the prior: what was written, and log p(x|z) in nats."""

    raw: Any
    log_prob: float


@dataclass
class TextVAE:
    """A model, its codec and its settings.

    >>> vae = TextVAE.from_pretrained()
    >>> [step.raw for step in vae.interpolate("I am tired.", "Where is the station?")]
    """

    model: Autoencoder
    codec: Codec
    settings: Settings
    facts: dict[str, Any] = field(default_factory=dict)  # corpus, licence, numbers: what the model card tells

    @classmethod
    def new(cls, settings: Settings, codec: Codec, begin: bool = True) -> Self:
        """An untrained model, its weights drawn from ``settings.train.seed``.

        Where the settings name models to begin with (``all_from``, ``encoder_from``, ``decoder_from``), those weights
        are put in, and ``facts["begun_with"]`` says how many; ``begin=False`` leaves that out, for weights that come
        later.
        """
        torch.manual_seed(settings.train.seed)
        vae = cls(build_model(settings.model, codec), codec, settings)
        taken = initialise(vae.model, codec, settings.model) if begin else []
        if taken:
            vae.facts["begun_with"] = [str(side) for side in taken]
        return vae

    def begin(self, examples: Examples) -> None:
        """Let a new model begin with what the training ``examples``, encoded by the codec, tell by counting.

        That is how common words are and which stand together; what was taken from another model stays.
        """
        begin_with_counts(self.model, self.codec, self.settings.model, examples)

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, device: str | torch.device = "cpu") -> Self:
        """A model folder, a run folder or a Hugging Face hub id; without a name, the model that ships.

        Raises RequestError where there is none, CorruptFolder where it is damaged.
        """
        model, codec, settings, facts = model_folder.load(model_folder.find(name))
        return cls(model.to(device).eval(), codec, settings, facts)

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write a model folder, whole or not at all; ``dtype=torch.float16`` halves it."""
        model_folder.save(Path(folder), self.model, self.codec, self.settings, self.facts, dtype)

    def push_to_hub(self, repo_id: str, private: bool = False) -> str:
        """Upload the model folder to the Hugging Face hub; returns its address."""
        return model_folder.push(repo_id, self.save_pretrained, private)

    def batch(self, raw: Sequence[Any]) -> Tensor:
        """Raw examples to x [B, …] on the model's device."""
        return self.codec.collate(self.codec.encode(raw)).to(self.model.device)

    @torch.no_grad()
    def encode(self, raw: Any | Sequence[Any]) -> Tensor:
        """The posterior means [B, Z] of examples, [Z] of a single one."""
        if _single(raw):
            return self.encode([raw])[0]
        if not len(raw):
            return torch.zeros(0, self.settings.model.latent_size, device=self.model.device)
        return self.model.eval().posterior(self.batch(raw)).mean

    def decode(self, z: Tensor, decoding: Decoding | None = None) -> Any:
        """What the model writes at codes z [N, Z] (a list) or [Z]; by beam search unless told otherwise."""
        if z.dim() == 1:
            return self.decode(z[None], decoding)[0]
        return self.write(z, decoding)[0]

    def write(
        self,
        z: Tensor,
        decoding: Decoding | None = None,
        label: str | Sequence[str] | None = None,
        source: Tensor | None = None,
    ) -> tuple[list[Any], list[float]]:
        """What the model writes at codes z [N, Z], told the ``label`` or one for each, and log p(x|z) in nats.

        ``source`` [N, …] is what z are the codes of, where there is such an x: some decoders read it (switches).
        Codes of a model on the sphere are put back on it first: sums and straight lines leave it.
        """
        decoding = decoding or Decoding("beam")
        limit = self.codec.written.dims.get("max_length") or decoding.max_length
        decoding = replace(decoding, max_length=min(decoding.max_length, limit))
        z = self.model.prior.support.project(z.to(self.model.device))
        labels = [label] * len(z) if isinstance(label, str) else label
        y = None if labels is None else torch.tensor([self._class(one) for one in labels], device=z.device).long()
        x, log_prob = generate(self.model.eval(), self.model.condition(z, y), decoding, source)
        return self.codec.decode(x), log_prob.tolist()

    def interpolate(
        self, a: Any, b: Any, steps: int = 7, path: str = "linear", decoding: Decoding | None = None
    ) -> list[Step]:
        """The homotopy from ``a`` to ``b``: what ``steps`` points between their codes say (Bowman et al., §4.3).

        A model that needs a label is told that of the nearer end, as it guesses it.
        """
        if steps < 2:
            raise RequestError(f"A path has at least 2 steps, its ends; {steps} is too few.")
        ends = self.encode([a, b])
        z = homotopy(ends[0], ends[1], steps, path)
        guessed = self.guess([a, b])
        labels = guessed and [guessed[2 * i >= steps] for i in range(steps)]
        return [Step(i / (steps - 1), *pair) for i, pair in enumerate(zip(*self.write(z, decoding, labels)))]

    @torch.no_grad()
    def guess(self, raw: Sequence[Any]) -> list[str] | None:
        """The label of each example, as the model tells it, where what it writes needs one; else None."""
        if not self.model.needs_label:
            return None
        return self._names(self.model.guess(self.model.eval().features(self.batch(raw))))

    def _names(self, y: Tensor | None) -> list[str] | None:
        return None if y is None else [self.settings.model.classes[i] for i in y.tolist()]

    def _class(self, label: str) -> int:
        """The number of a class; RequestError for one that the model was not trained on."""
        names = self.settings.model.classes
        if not self.model.condition.classes:
            raise RequestError(
                f"The model writes whatever the label: it cannot be told {label!r}. Train one that can, on examples "
                "with labels: --set model.labels=condition."
            )
        if label not in names:
            raise RequestError(f"There is no label {label!r} in this model. {did_you_mean(label, names)}")
        return names.index(label)

    def sample(
        self, n: int = 1, decoding: Decoding | None = None, seed: int | None = None, label: str | None = None
    ) -> list[Sample]:
        """``n`` draws of z from the prior, each with its most probable x; ``seed`` makes them repeatable.

        A model that is told labels takes one, by its name; of one that needs a label each draw has another.

        ``Decoding("sample")`` draws x from p(x|z) as well; a model without a code does that anyway.
        """
        decoding = decoding or Decoding("beam" if self.settings.model.latent_size else "sample")
        with torch.random.fork_rng(enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            samples: list[Sample] = []
            for size in _pieces(n, 256):
                z = self.model.prior().sample(torch.Size([size]))
                labels: str | list[str] | None = label
                if label is None and self.model.needs_label:
                    labels = self._names(torch.randint(len(self.settings.model.classes), (size,)))
                samples += map(Sample, *self.write(z, decoding, labels))
            return samples

    def reconstruct(self, raw: Sequence[Any], samples: int = 0, decoding: Decoding | None = None) -> list[list[Any]]:
        """For each example what the model writes at its posterior mean, and then at ``samples`` draws from q(z|x)."""
        if not len(raw):
            return []
        with torch.no_grad():
            x = self.batch(raw)
            q, y = self.model.eval().infer(x)
            z = torch.cat([q.mean[None], q.sample(torch.Size([samples]))]).transpose(0, 1)
        labels = None if y is None else self._names(y.repeat_interleave(samples + 1))
        texts, _ = self.write(z.flatten(0, 1), decoding, labels, source=x.repeat_interleave(samples + 1, 0))
        return [texts[i : i + samples + 1] for i in range(0, len(texts), samples + 1)]


def _single(raw: Any) -> bool:
    return isinstance(raw, str | Captioned) or (hasattr(raw, "ndim") and raw.ndim == 3)


def _pieces(n: int, size: int) -> list[int]:
    return [min(size, n - start) for start in range(0, n, size)]
