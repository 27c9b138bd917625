"""ECGs that were opened and are held in memory, so that a second question needs no second upload."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from ecgclip.ecg import ECG
from ecgclip.measure.examined import Examined


@dataclass(eq=False)
class Case:
    """One ECG that is asked about.

    name: what it is called; ecg: None where only scores are asked for; examined: an `Embedding` once it was encoded
    """

    name: str
    ecg: ECG | None
    examined: Examined

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        prepared = self.examined.prepared
        signals = {id(each): each.nbytes for each in (prepared.signal, prepared.encoder_signal)}
        return sum(signals.values()) + (self.ecg.signal.nbytes if self.ecg else 0) + 20_000 * len(prepared.signal)


class Held:
    """Cases by a random id; the one that was asked for longest ago is forgotten first.

    Parameters
    ----------
    most
        Bytes of all together; a case of more than a quarter of it is not held.
    """

    def __init__(self, most: int):
        self._most = most
        self._cases: OrderedDict[str, Case] = OrderedDict()
        self._bytes = 0

    def add(self, case: Case) -> str | None:
        """The id under which a case is held; None if it is too large."""
        if 4 * case.nbytes > self._most:
            return None
        key = secrets.token_urlsafe(16)
        self._cases[key] = case
        self._bytes += case.nbytes
        while self._bytes > self._most:
            self._bytes -= self._cases.popitem(last=False)[1].nbytes
        return key

    def get(self, key: str) -> Case | None:
        """The case with an id; None if it is not held."""
        if key in self._cases:
            self._cases.move_to_end(key)
        return self._cases.get(key)


def signal_of(case: Case) -> ECG:
    """The recording of a case that `Desk.one` gave."""
    if case.ecg is None:
        raise ValueError("a case without its signal")
    return case.ecg
