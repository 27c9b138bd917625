"""What the commands answer for one record, ready to be written in any format."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgclip.explain import Sentence
    from ecgclip.model import Result


@dataclass(frozen=True)
class Evidence:
    """The evidence behind the scores of one record (`classify --explain`)."""

    scores: list[dict[str, Any]]  # one for each score, see `ecgclip.explain.explain`
    record: dict[str, Any]  # measurements, and the nearest cases of an index where one is given


@dataclass(frozen=True)
class Classification:
    """The answer of `ecgclip classify`."""

    result: Result
    evidence: Evidence | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip classify --format json`."""
        entry = self.result.to_dict()
        if self.evidence:
            entry |= self.evidence.record
            pairs = zip(entry["scores"], self.evidence.scores, strict=True)
            entry["scores"] = [{**score, "explain": evidence} for score, evidence in pairs]
        return entry


@dataclass(frozen=True)
class Description:
    """The answer of `ecgclip describe`."""

    record: str
    sentences: list[Sentence]

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip describe --format json`."""
        return {"record": self.record, "sentences": [asdict(sentence) for sentence in self.sentences]}
