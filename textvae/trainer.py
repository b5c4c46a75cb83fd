"""The only training loop."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from textvae import checkpoint, distributed, tensors
from textvae.assembly import build_model
from textvae.autoencoder import Autoencoder
from textvae.batching import Batch, Batches
from textvae.devices import autocast, fold, seed
from textvae.errors import Diverged, RequestError, TextvaeError
from textvae.evaluation.bounds import Report, evaluate
from textvae.evaluation.temperature import calibrate, need_temperature
from textvae.files import link
from textvae.initialise import initialise
from textvae.layers import frozen
from textvae.objectives import Objective, Terms
from textvae.records import Record
from textvae.run_folder import RunFolder
from textvae.settings import TrainSettings
from textvae.text_vae import TextVAE
from textvae.word_vectors import begin_with_counts

LOG_EVERY = 20  # steps between the records, and between the reads of the loss that they need
GRACE = 0.1  # share of the run before which a code that carries nothing yet is no collapse
KEPT = ("epoch", "index", "tokens", "stale", "best", "evaluated", "seconds")  # of the trainer, in a checkpoint
NOISE, EVALUATION, START = 1, 2, 3  # streams of random numbers, each seeded by (seed, stream, step)


class Trainer:
    """Trains a model under an objective, evaluates, keeps the best, and saves so that a resumed run is the same run.

    The order of the data is computed from (seed, epoch) and the noise of a step from (seed, step, process): a
    checkpoint holds weights, optimiser and a few numbers, and on a CPU a run resumed from it ends bit for bit where
    an uninterrupted one does.

    Several processes (``distributed.joined``) divide every batch among them and take the step that one alone would
    take, up to rounding and the noise that each draws for itself. The first one writes, the run folder included.
    """

    def __init__(
        self, vae: TextVAE, objective: Objective, train: Batches, valid: Batches, run: RunFolder, data: str = ""
    ):
        for part, batches in (("training", train), ("validation", valid)):
            if not len(batches.examples):
                raise RequestError(f"There are no examples in the {part} split: give a larger corpus.")
        self.vae, self.model, self.objective, self.run = vae, vae.model, objective, run
        self.train, self.valid, self.data = train, valid, data
        self.settings: TrainSettings = vae.settings.train
        if self.settings.calibrate:
            need_temperature(vae)
        self.device = torch.device(self.settings.device)
        self.model.to(self.device)
        with torch.random.fork_rng():
            torch.manual_seed(fold(self.settings.seed, START))
            self.objective.attach(self.model)
        self.objective.to(self.device)
        self.modules = nn.ModuleDict({"model": self.model, "objective": self.objective})
        self.averaged = average_of(self.model, self.settings.average) if self.settings.average else None
        if self.averaged is not None:
            self.modules["average"] = self.averaged
            vae.model = cast(Autoencoder, self.averaged.module)  # what is evaluated, sampled from and saved
        self.parameters = {k: p for k, p in self.modules.named_parameters() if p.requires_grad}
        self.optimizer = _optimizer(list(self.parameters.values()), self.settings)
        self.step = self.epoch = self.index = self.tokens = 0  # index: of the next batch in the epoch
        self.stale = 0  # evaluations since the best
        self.best = math.inf
        self.seconds = 0.0  # of training, over all starts
        self.evaluated = -1  # the step of the last evaluation
        self.plan_length = train.planned()
        self.leads = distributed.rank() == 0
        self._stop, self._stopped, self._started = "", False, time.monotonic()

    @property
    def total_steps(self) -> int:
        """How many steps are planned."""
        return self.settings.steps or self.settings.epochs * self.plan_length

    @property
    def progress(self) -> float:
        """How far the run is, from 0 to 1; under a time limit the clock counts where it is ahead of the steps."""
        clock = self.seconds / (60 * self.settings.minutes) if self.settings.minutes else 0.0
        return min(1.0, max(self.step / self.total_steps, clock))

    def stop(self, why: str) -> None:
        """End the run after the current step, saved, on all processes. May be called from a signal handler."""
        self._stop = why

    def resume(self) -> Iterator[Record]:
        """Go back to the newest checkpoint that is whole; the records say which were skipped, and where it goes on.

        Raises RequestError if the corpus is not the one that the run was begun with.
        """
        skipped: list[str] = []
        found = None
        if self.leads and (place := checkpoint.newest(self.run.checkpoints, skipped.append)):
            found = place, *checkpoint.read(place)
        found = distributed.told(found)
        yield from (self._notice(f"{why} It was skipped.") for why in skipped)
        if found is None:
            yield self._notice("There is no whole checkpoint yet: the run starts from the beginning.")
            if self.leads:
                self.run.rewind(-1)
            return
        place, weights, moments, state = found
        if state["data"] != self.data:
            raise RequestError(
                f"The corpus {self.vae.settings.corpus.source} is not the one that {self.run.path} was begun with. "
                "Restore it, or begin a new run."
            )
        if {k: t.shape for k, t in weights.items()} != {k: t.shape for k, t in tensors.state(self.modules).items()}:
            raise RequestError(
                f"The model in {place} has other parts or sizes than these settings: resume with the settings in "
                f"{self.run.path / 'config.toml'}, or begin a new run."
            )
        tensors.copy_into(self.modules, weights)
        self._load_optimizer(moments)
        for key in ("step", *KEPT):
            setattr(self, key, state.get(key, getattr(self, key)))
        if self.leads:
            self.run.rewind(self.step)
        yield self._notice(f"Resumed at step {self.step:,} of {self.total_steps:,}.")

    def fit(self) -> Iterator[Record]:
        """Train to the end of the plan, until nothing improves, or until ``stop``; yields what there is to show.

        Raises Diverged where the loss or its gradient is not finite, TextvaeError where memory runs out.
        """
        distributed.copy_first(tensors.state(self.modules).values())  # what is drawn may differ between machines
        for record in self._loop():
            if self.leads:
                self.run.log(record)
            yield record

    def _loop(self) -> Iterator[Record]:
        window = _Window()
        every = self.settings.evaluate_every or self.plan_length
        self._started = time.monotonic() - self.seconds
        while not self._over():
            for batch in self.train.epoch(self.epoch, self.index, distributed.rank(), distributed.size()):
                terms, norm = self._update(batch)
                self.step += 1
                self.index += 1
                window.add(terms, norm, self.model.likelihood.units(batch.scored), batch.share)
                evaluates, saves = self.step % every == 0, self.step % self.settings.save_every == 0
                if evaluates or saves or self.step % LOG_EVERY == 0:
                    yield self._train_record(window)
                    window = _Window()
                if evaluates:
                    began = time.monotonic()
                    yield from self._evaluate()
                    self._started += time.monotonic() - began  # evaluations are not training time
                elif saves:
                    self._save()
                if self._over():
                    break
            else:
                self.epoch, self.index = self.epoch + 1, 0
        if window.n:
            yield self._train_record(window)
        if not self._stopped and self.evaluated != self.step:
            yield from self._evaluate()
        self._save()
        yield Record("end", self.step, {"seconds": self.seconds}, {"why": self._stop or self._why()})

    def _over(self) -> bool:
        """Whether the run ends here: all processes see the first one's clock, and stop if one was told to."""
        told = torch.tensor([float(bool(self._stop)), time.monotonic() - self._started if self.leads else 0.0])
        stops, self.seconds = distributed.total(told.double()).tolist()
        self._stopped = stops > 0
        return self._stopped or self.progress >= 1 or self.stale >= self.settings.patience

    def _why(self) -> str:
        """Why a run that was not told to stop is over."""
        over = self.stale >= self.settings.patience
        return f"No better model in {self.stale} evaluations." if over else "The plan is done."

    def _update(self, batch: Batch) -> tuple[Terms, Tensor]:
        """One step of the optimiser."""
        seed(self.device, fold(self.settings.seed, NOISE, self.step))
        self.modules.train()
        self._begin_step()
        if not self.leads:  # what the objective draws between steps is the same on all processes, the rest is not
            seed(self.device, fold(self.settings.seed, NOISE, self.step, distributed.rank()))
        rate = self.settings.learning_rate * learning_rate_factor(self.settings, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        batch = batch.to(self.device)
        batch = batch._replace(y=self.model.condition.left_out(batch.y))
        try:
            held_back = self.objective.held_back(self.model, self.progress)
            with distributed.sharing(batch.share), frozen(held_back):
                with autocast(self.device, self.settings.precision):
                    terms: Terms = self.objective(self.model, batch, self.progress)
                loss = terms.loss * batch.share
                loss.backward()
        except (RuntimeError, MemoryError) as error:  # the CPU's allocator raises a plain RuntimeError
            if isinstance(error, torch.OutOfMemoryError | MemoryError) or "alloc" in str(error):
                raise TextvaeError(
                    f"Out of memory at step {self.step}, at a batch of {list(batch.x.shape)}. "
                    "Take smaller ones: --set train.batch_size=N or train.max_tokens=N, then --resume."
                ) from error
            if not all(p.isfinite().all() for p in self.parameters.values()):  # what could not be drawn from
                raise self._diverged() from error
            raise
        loss = distributed.add_gradients(self.parameters.values(), loss)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        return terms, norm

    def _begin_step(self) -> None:
        """Let the objective do what it does between steps, and forget what was gathered of weights it replaced."""
        replaced = list(self.objective.begin_step(self.model, self.progress, self._fresh))
        for parameter in replaced:
            self.optimizer.state.pop(parameter, None)
        if replaced and self.averaged is not None:
            self.averaged.n_averaged.zero_()  # the mean begins anew: old and new weights have none

    def _fresh(self) -> Autoencoder:
        """An untrained model that begins as this run's did, what is random drawn from the noise of this step."""
        model = build_model(self.vae.settings.model, self.vae.codec)
        initialise(model, self.vae.codec, self.vae.settings.model)
        begin_with_counts(model, self.vae.codec, self.vae.settings.model, self.train.examples)
        return model.to(self.device)

    def _train_record(self, window: "_Window") -> Record:
        values = window.means()
        if not math.isfinite(values["loss"] + values["gradient"]):  # asked here, so that no step waits for a device
            raise self._diverged()
        self.tokens += int(values.pop("units"))
        values |= {"epoch": self.epoch, "progress": self.progress, "tokens": self.tokens, "seconds": self.seconds}
        values["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        return Record("train", self.step, values)

    def _evaluate(self) -> Iterator[Record]:
        """Measure on the validation split, keep the best, save, and say what the user should know."""
        if self.settings.calibrate:
            calibrate(self.vae, self.valid, self.settings.seed)
        report = evaluate(self.vae.model, self.valid, mutual_information=True, seed=self.settings.seed)
        self.evaluated = self.step
        settled = self.objective.settled(self.progress)
        score = self.objective.compared(report)
        better = settled and score < self.best
        if better:
            self.best, self.stale = score, 0
        else:
            self.stale += settled
        values = {key: value for key, value in report.to_dict().items() if isinstance(value, int | float)}
        values |= {"epoch": self.epoch, "best": float(better), "seconds": self.seconds}
        yield Record("valid", self.step, values, self._texts() if self.leads else {})
        self._save(better)
        grown = settled and self.progress > GRACE and report.latent_size
        warning = collapse(report) if grown else None
        if self.leads and (better or not self.run.model.exists()):
            numbers = {k: round(v, 3) for k, v in report.to_dict().items() if v is not None and k != "iw_samples"}
            self.vae.facts |= {"validation": numbers, "step": self.step}
            self.vae.facts.pop("warning", None)
            if warning:
                self.vae.facts["warning"] = warning
            self.vae.save_pretrained(self.run.model)
        if warning:
            yield self._notice(warning)

    @torch.no_grad()
    def _texts(self) -> dict[str, str]:
        """A sentence of the validation split, how it is written, and a sample."""
        with torch.random.fork_rng():
            torch.manual_seed(fold(self.settings.seed, EVALUATION, self.step))
            batch = self.valid.take(np.array([self.step % len(self.valid.examples)]))
            raw = self.vae.codec.decode(batch.scored)[0]
            if not isinstance(raw, str):
                return {}
            z = self.vae.model.eval().posterior(batch.x.to(self.device)).mean
            return {
                "input": raw,
                "reconstruction": self.vae.write(z)[0][0],
                "sample": str(self.vae.sample(1)[0].raw),
            }

    def _diverged(self) -> Diverged:
        rate = self.optimizer.param_groups[0]["lr"]
        return Diverged(
            f"The loss or its gradient is not finite, at step {self.step} or in the {LOG_EVERY} before it (learning "
            f"rate {rate:.2g}). Lower it, e.g. --set train.learning_rate={self.settings.learning_rate / 3:.1g}; the "
            f"last good checkpoint is in {self.run.checkpoints}."
        )

    def _notice(self, text: str) -> Record:
        return Record("notice", self.step, {}, {"notice": text})

    def _save(self, best: bool = False) -> None:
        if not self.leads:
            return
        numbers = {**{key: getattr(self, key) for key in KEPT}, "data": self.data}
        place = checkpoint.write(
            self.run.checkpoints, self.step, tensors.state(self.modules), self._optimizer_state(), numbers
        )
        if best or (self.evaluated == self.step and not (self.run.checkpoints / "best").exists()):
            link(self.run.checkpoints / "best", place.name)
        checkpoint.prune(self.run.checkpoints, self.settings.keep)

    def _optimizer_state(self) -> dict[str, Tensor]:
        names = {id(p): name for name, p in self.parameters.items()}
        return {
            f"{names[id(p)]}/{key}": value
            for p, state in self.optimizer.state.items()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }

    def _load_optimizer(self, moments: dict[str, Tensor]) -> None:
        for name, p in self.parameters.items():
            own = {k.rpartition("/")[2]: v for k, v in moments.items() if k.rpartition("/")[0] == name}
            if own:
                self.optimizer.state[p] = {k: v.to(p.device) for k, v in own.items()}  # "step" too: fused


class _Window:
    """Sums of terms between two records, on the device, so that no step waits to be read."""

    def __init__(self) -> None:
        self.n = 0
        self.sums: dict[str, Tensor] = {}
        self.seconds = time.monotonic()
        self.cpu = time.process_time()

    def add(self, terms: Terms, norm: Tensor, units: Tensor, share: float) -> None:
        """Take in the terms of a step, over ``units`` words (or pixels), of this process's share of the batch."""
        self.n += 1
        beta = torch.as_tensor(terms.beta, device=norm.device)
        new = {
            "loss": terms.loss,
            "distortion": terms.distortion.mean(),
            "rate": terms.rate.mean(),
            "beta": beta,
            "gradient": norm,
        }
        counts = {"units": units.sum(), "examples": torch.tensor(float(len(terms.rate)), device=norm.device)}
        weighted = {key: value.detach().float() * share for key, value in new.items()}
        weighted |= {key: value.float() * (share > 0) for key, value in counts.items()}
        for key, value in weighted.items():
            self.sums[key] = self.sums.get(key, 0) + value

    def means(self) -> dict[str, float]:
        """Means per step, the total of units, and their rate per second and per CPU-second, of all processes."""
        sums = distributed.total(torch.stack(list(self.sums.values())).double().cpu()).tolist()
        values = dict(zip(self.sums, sums))
        units, examples = values.pop("units"), values.pop("examples")
        values = {key: value / self.n for key, value in values.items()} | {"units": units}
        values["nll"] = values["distortion"] + values["rate"]
        values["perplexity"] = math.exp(min(700.0, values["nll"] * examples / max(1.0, units)))
        cpu = float(distributed.total(torch.tensor(time.process_time() - self.cpu)))
        values["tokens_per_second"] = units / max(1e-9, time.monotonic() - self.seconds)
        values["tokens_per_cpu_second"] = units / max(1e-9, cpu)
        return values


def learning_rate_factor(settings: TrainSettings, progress: float) -> float:
    """What the learning rate is multiplied by at ``progress``: it rises over the warm-up, then decays to 0."""
    if progress < settings.warmup:
        return max(progress / settings.warmup, 0.01)
    left = 1 - (progress - settings.warmup) / max(1e-9, 1 - settings.warmup)
    return {"constant": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}[settings.decay]


def collapse(report: Report) -> str | None:
    """A warning with the remedy, if the code carries next to nothing (posterior collapse)."""
    if report.rate >= 0.5 and report.active_units > report.latent_size // 10:
        return None
    return (
        f"Posterior collapse: the code carries {report.rate:.2f} nats, and {report.active_units} of "
        f"{report.latent_size} units are active: the decoder ignores it. Ask for a rate, or for a higher one: --rate 8."
    )


def average_of(model: Autoencoder, decay: float) -> AveragedModel:
    """A copy of the model whose weights follow it as an exponential moving average (Polyak & Juditsky 1992).

    The decay of update n is min(decay, (1 + n) / (10 + n)), so that the average of a short run is not its start.
    """

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], n: Tensor | int) -> None:
        kept = min(decay, (1 + int(n)) / (10 + int(n)))
        torch._foreach_lerp_(list(averaged), list(current), 1 - kept)

    average = AveragedModel(model, device=model.device, multi_avg_fn=update)
    return average.requires_grad_(False)


def _optimizer(parameters: list[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
