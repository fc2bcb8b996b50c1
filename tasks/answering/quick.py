"""The model on another runtime: onnxruntime with the encoder's own weights, or with wide layers of 8 bits. What that
changes is measured before it is used, and refused where it is too much."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.settings import Embed

RUNTIMES = ("torch", "onnx", "int8")
AGREEMENT = 0.99  # share of the labels that must stay the same


@dataclass(frozen=True)
class Drift:
    """What another runtime changes. agreement: the share of n items that get the same label; score, was: the mean score
    on gold by it and by torch, None without gold; se: the standard error of their difference."""

    n: int
    agreement: float
    score: float | None = None
    was: float | None = None
    se: float | None = None

    def __str__(self) -> str:
        said = f"{self.agreement:.1%} of {self.n:,} items have the same label"
        if self.score is None or self.was is None or self.se is None:
            return said
        gap = self.score - self.was
        return f"{said}; on gold {self.score:.3f}, {gap:+.3f} ({gap - 2 * self.se:+.3f} to {gap + 2 * self.se:+.3f})"


def quick(
    model: Classifier,
    embed: Embed,
    runtime: str,
    pool: Sequence[str],
    gold: Sequence[tuple[str, str]] = (),
    least: float = AGREEMENT,
) -> tuple[Classifier, Drift | None]:
    """The model with its text encoder on another runtime, and what that changes; as it is, and None, for torch.

    pool: at least one text, a sample of what it will be asked; gold: texts with their labels, to say what it costs.
    InputError: the encoder is none that onnxruntime is given, or fewer than the share `least` of the texts keep their
    label.
    """
    if runtime not in RUNTIMES:
        raise InputError("--runtime", expected=" or ".join(RUNTIMES), got=repr(runtime[:60]))
    if runtime == "torch":
        return model, None
    from labelwise.tasks.learners import onnx_encoder

    other = replace(model, encoder=onnx_encoder.Encoder(embed.encoder, embed.max_tokens, runtime == "int8"))
    found = drift(model, other, pool, gold)
    if found.agreement < least:
        fix = "--runtime " + ("onnx" if runtime == "int8" else "torch")
        raise InputError(f"--runtime {runtime} changes too much", expected=f"{least:.0%}", got=str(found), fix=fix)
    return other, found


def drift(model: Classifier, other: Classifier, pool: Sequence[str], gold: Sequence[tuple[str, str]] = ()) -> Drift:
    """How far two models say the same of n >= 1 texts, and how right both are."""
    said, now = (one.judged(pool).label.to_numpy() for one in (model, other))
    same = float((said == now).mean())
    if not gold:
        return Drift(len(pool), same)
    texts, truth = zip(*gold, strict=True)
    was, score = (model.answer.score(one.judged(texts).label.tolist(), truth) for one in (model, other))
    se = float(np.std(score - was) / np.sqrt(len(truth)))
    return Drift(len(pool), same, float(score.mean()), float(was.mean()), se)
