"""What an audit says of one part of the history."""

from dataclasses import dataclass, field


@dataclass
class Part:
    """One row of the audit's table.

    checked: how many things were looked at; None where nobody could look, and `said` why. missing, surplus, changed: a
    line for each that should be there, should not, or is not as it was. waiting: what the next `labelwise run` settles.
    forgotten: what is gone since people asked for it.
    """

    name: str
    checked: int | None = 0
    missing: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    waiting: int = 0
    forgotten: int = 0
    said: str = ""

    @property
    def complaints(self) -> list[str]:
        """All that is not in order, in words."""
        kinds = (("missing", self.missing), ("surplus", self.surplus), ("changed", self.changed))
        return [f"{kind}: {line}" for kind, lines in kinds for line in lines]
