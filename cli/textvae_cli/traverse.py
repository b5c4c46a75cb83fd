"""``textvae traverse``: what changes when one or two dimensions of a code do."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.errors import RequestError
from textvae_cli import console, loading, options, pictures

if TYPE_CHECKING:
    from torch import Tensor

    from textvae import TextVAE

STEPS, PLANE = 9, 15
MOST = 10_000  # pictures


def traverse(
    dims: Annotated[
        str | None,
        typer.Option("--dims", metavar="I[,J]", help="One or two dimensions, from 0. Default: those that matter most."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=2, max=1000, help="Values of each: 9, of a plane 15.")
    ] = None,
    span: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW,HIGH", help="Equal steps. Default: quantiles of the prior, as far as ±2."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="A", help="A sentence or picture, whose code is the rest.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="Write examples of this class.")] = None,
    decode: options.Decode = options.Method.beam,
    out: options.Png = None,
    seed: options.Seed = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Vary one or two dimensions of a code and write what comes.

    The rest stays at the mean of the prior, or at the code of --from. Of pictures one dimension makes a strip, two
    make a plane: the first runs down, the second to the right. Of sentences one dimension makes a list.
    """
    wanted = _numbers(dims, "--dims", "0,1", int)
    ends = _numbers(span, "--range", "-3,3", float)
    if ends and len(ends) != 2:
        raise RequestError(f"--range takes two numbers, as in -3,3: {span!r} has {len(ends)}.")
    name, vae = loading.open_model(model, device)
    loading.need_code(vae, name)
    drawn = loading.writes_pictures(vae)
    if drawn:
        pictures.check_place(out, "--out plane.png", as_json)
    else:
        loading.need_no_pictures(name, {"--out": out})
        if len(wanted) > 1:
            raise RequestError("Sentences are traversed along one dimension: --dims 0.")

    import torch

    from textvae.decoding import Decoding
    from textvae.latent.traversal import quantiles, traversal

    if seed is not None:
        torch.manual_seed(seed)
    decoding = Decoding(decode.value)
    z = _start(vae, start)
    if not wanted:
        wanted = _most_sensitive(vae, z, 2 if drawn else 1)
        console.say(f"dimension{'s' * (len(wanted) > 1)} {','.join(map(str, wanted))}: what matters most here")
    usual = PLANE if len(wanted) > 1 else STEPS
    count = steps or (pictures.beside(usual, out) if drawn else usual)
    traversal(z, wanted, [z.new_zeros(1)] * len(wanted))  # dimensions that are not there are told first
    if count ** len(wanted) > MOST:
        raise RequestError(
            f"A plane of {count:,} x {count:,} pictures is too large: --steps {math.isqrt(MOST)} at most."
        )
    with torch.no_grad():
        prior = vae.model.prior()
        values = [torch.linspace(ends[0], ends[1], count) if ends else quantiles(prior, dim, count) for dim in wanted]
    if label is None and vae.model.needs_label:
        label = _label(vae, start)
    codes = traversal(z, wanted, values)
    found, log_prob = vae.write(codes.flatten(0, -2), decoding, label)
    places = torch.cartesian_prod(*values).view(len(found), -1).tolist()
    if drawn:
        width = count if len(wanted) > 1 else len(found)
        rows = [found[i : i + width] for i in range(0, len(found), width)]
        pictures.show(rows, out, as_json)
    if as_json:
        texts: list[dict[str, Any]] = [{}] * len(found) if drawn else [{"text": text} for text in found]
        each = [{"values": place, **text, "log_prob": p} for place, text, p in zip(places, texts, log_prob)]
        made = {"out": out and str(out)} if drawn else {}
        console.document({"model": name, "dims": wanted, **made, "steps": each})
    elif not drawn:
        from textvae_cli.render import table

        shown = [(f"{place[0]:.2f}", text, f"{p:.1f}") for place, text, p in zip(places, found, log_prob)]
        table({f"z{wanted[0]}": "right", "sentence": "left", "log p": "right"}, shown)


def _numbers(text: str | None, option: str, example: str, kind: type[int] | type[float]) -> list[Any]:
    try:
        found = [kind(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise RequestError(f"{option} takes numbers with a comma between, as in {example}, not {text!r}.") from None
    if not all(map(math.isfinite, found)):
        raise RequestError(f"{option} takes finite numbers, as in {example}.")
    return found


def _start(vae: "TextVAE", source: str | None) -> "Tensor":
    """The code [Z] of what is named, else the mean of the prior."""
    import torch

    from textvae.supports import Support

    if source is not None:
        if loading.reads_pictures(vae):
            _, (found, *more) = pictures.read(vae, [source])
            if more:
                raise RequestError(f"--from takes one picture: {len(more) + 1} were named.")
            return vae.encode(found)
        loading.check_sentences(vae, [source])
        return vae.encode(source)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        prior = vae.model.prior()
        if vae.model.prior.support is Support.SPHERE:  # its mean is no code
            return prior.sample()
        try:
            return prior.mean
        except NotImplementedError:  # a flow's is not known
            return prior.sample(torch.Size([10_000])).mean(0)


def _label(vae: "TextVAE", source: str | None) -> str:
    """The label that the model tells of what is named, else its first."""
    if source is None:
        found = vae.settings.model.classes[0]
    else:
        raw = pictures.read(vae, [source])[1] if loading.reads_pictures(vae) else [source]
        [found] = vae.guess(raw) or [""]
    console.say(f"label: {found}; --label names another")
    return found


def _most_sensitive(vae: "TextVAE", z: "Tensor", count: int) -> list[int]:
    from textvae.latent.traversal import sensitivity

    codec, found = vae.codec.written, vae.write(z[None])[0]
    x = codec.collate(codec.encode(found)).to(z.device)
    order: Sequence[int] = sensitivity(vae.model, z, x).argsort(descending=True).tolist()
    return sorted(order[:count])
