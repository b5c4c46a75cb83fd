"""What a training run says of itself."""

from dataclasses import dataclass, field
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Record:
    """One line of ``metrics.jsonl``.

    ``train``: means since the last record; ``valid``: an evaluation, with a reconstruction and a sample where
    examples are texts; ``notice``: a sentence for the user; ``end``: why the run ended.
    """

    kind: Literal["train", "valid", "notice", "end"]
    step: int
    values: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A flat dictionary."""
        return {"kind": self.kind, "step": self.step, **self.values, **({"texts": self.texts} if self.texts else {})}

    @classmethod
    def from_dict(cls, flat: dict[str, Any]) -> Self:
        """What ``to_dict`` wrote."""
        rest = {k: v for k, v in flat.items() if k not in ("kind", "step", "texts")}
        return cls(flat["kind"], flat["step"], rest, flat.get("texts", {}))
