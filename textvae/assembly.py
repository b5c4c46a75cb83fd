"""From settings to parts: the only place where a model is put together."""

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from textvae.autoencoder import Autoencoder
from textvae.codecs import CODECS, Codec
from textvae.corruptions import CORRUPTIONS
from textvae.decoders import DECODERS, AutoregressiveDecoder
from textvae.encoders import ENCODERS
from textvae.errors import RequestError
from textvae.labels import HIDDEN, Condition
from textvae.layers import dense
from textvae.likelihoods import LIKELIHOODS, Categorical
from textvae.objectives import OBJECTIVES, Objective
from textvae.penalties import PENALTIES
from textvae.posteriors import POSTERIORS
from textvae.priors import PRIORS
from textvae.registry import Registry
from textvae.schedules import SCHEDULES
from textvae.settings import ModelSettings, Part
from textvae.supports import Support

WITHIN_OBJECTIVES: dict[str, Registry[Any]] = {"schedule": SCHEDULES, "penalty": PENALTIES}


def fit_codec(part: Part, raw: Iterable[Any], vocabulary: Sequence[str] = ()) -> Codec:
    """The codec of that name, fitted to raw examples; RequestError for an option that it does not have.

    A corpus that comes with a ``vocabulary`` has that one, if codecs of that name take any.
    """
    kind, options = CODECS.get(part.name), _codec_options(part)
    if vocabulary and "vocabulary" in inspect.signature(kind.fit).parameters:
        options.setdefault("vocabulary", list(vocabulary))
    return kind.fit(raw, **options)


def load_codec(part: Part, folder: Path) -> Codec:
    """The codec that was saved in a model folder."""
    kind = CODECS.get(part.name)
    asked = inspect.signature(kind.load).parameters
    return kind.load(folder, **{key: value for key, value in _codec_options(part).items() if key in asked})


def _codec_options(part: Part) -> dict[str, Any]:
    _, *asked = inspect.signature(CODECS.get(part.name).fit).parameters.items()
    return CODECS.check(part.name, part.options, dict(asked))


def build_model(settings: ModelSettings, codec: Codec) -> Autoencoder:
    """An untrained model for what ``codec`` makes; each part is offered the sizes of those before it.

    Raises RequestError where a part has no such option, or needs what the codec does not give.
    """
    none = dict.fromkeys(("vocab_size", "max_length", "input_shape", "document_frequency"))
    given: dict[str, Any] = {**none, **codec.dims, "embedding": None, "latent_size": settings.latent_size}

    def build(registry: Registry[Any], part: Part, **more: Any) -> Any:
        given.update(more)
        takes = registry.options(part.name)
        for size in ("vocab_size", "input_shape", "document_frequency"):
            if given[size] is None and takes.get(size) is inspect.Parameter.empty:
                raise RequestError(
                    f"The {registry.kind} {part.name!r} needs a {size}, which the codec does not give: "
                    "these two do not go together."
                )
        try:
            return registry.build(part.name, part.options, **given)
        except (TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(f"The {registry.kind} {part.name!r} cannot be built: {error}.") from error

    encoder = build(ENCODERS, settings.encoder)
    encoder_noise = build(CORRUPTIONS, settings.encoder_noise)
    predicts, told = (settings.labels in (one, "both") for one in ("predict", "condition"))
    if (predicts or told) and not settings.classes:
        raise RequestError(
            f"model.labels is {settings.labels!r}, and there are no labels: give a corpus that has some."
        )
    classes = len(settings.classes) if told else 0
    condition = Condition(classes, 0.0 if predicts else HIDDEN)
    posterior = build(POSTERIORS, settings.posterior, feature_size=encoder.output_size + classes)
    prior = build(PRIORS, settings.prior, posterior=posterior)
    if posterior.support is not prior.support:
        raise RequestError(
            f"The posterior {settings.posterior.name!r} draws codes from {posterior.support.value}, the prior "
            f"{settings.prior.name!r} from {prior.support.value}: there is no KL between them. "
            f"{_priors_of(posterior.support)}"
        )
    given |= none | codec.written.dims
    decoder = build(DECODERS, settings.decoder, encoder=encoder, latent_size=settings.latent_size + classes)
    likelihood = build(
        LIKELIHOODS,
        settings.likelihood,
        hidden_size=decoder.hidden_size,
        grid=decoder.grid,
        embedding=getattr(decoder, "embedding", None),
    )
    if isinstance(likelihood, Categorical) and not isinstance(decoder, AutoregressiveDecoder):
        raise RequestError(
            f"The decoder {settings.decoder.name!r} does not write word by word, which the likelihood "
            f"{settings.likelihood.name!r} needs: these two do not go together."
        )
    decoder_noise = build(CORRUPTIONS, settings.decoder_noise)
    if not decoder_noise.keeps_positions:
        raise RequestError(
            f"The corruption {settings.decoder_noise.name!r} moves words, and a decoder that is fed with them would "
            "read those that it is to predict: it can be model.encoder_noise only."
        )
    read = encoder.output_size if told else settings.latent_size
    classifier = dense(read, len(settings.classes)) if predicts else None
    parts = encoder, posterior, prior, decoder, likelihood, encoder_noise, decoder_noise, condition, classifier
    return Autoencoder(*parts)


def _priors_of(support: Support) -> str:
    names = [name for name in PRIORS if PRIORS.get(name).support is support]
    return f"Priors for this posterior: {', '.join(names)}."


def build_objective(part: Part) -> Objective:
    """The objective, with those of its options that are parts: ``schedule = {name = "linear", warmup = 0.2}``."""
    options = part.options
    for key, registry in WITHIN_OBJECTIVES.items():
        value = options.get(key)
        inner = {"name": value} if isinstance(value, str) else value
        if not isinstance(inner, dict):
            continue
        if not isinstance(inner.get("name"), str):
            raise RequestError(f"A {key} needs a name. Known: {', '.join(registry)}.")
        inner_part = Part.model_validate(inner)
        options[key] = registry.build(inner_part.name, inner_part.options)
    return OBJECTIVES.build(part.name, options)
