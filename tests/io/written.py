"""WFDB records written by hand."""

from pathlib import Path

import numpy as np


def digital(n_leads, samples, seed=0, low=-500, high=500):
    return np.random.default_rng(seed).integers(low, high, (samples, n_leads))


def write(folder, signal=None, header=None, name="r", leads=("I",), rate=100, gain="1000/mV", fmt="16", extra=""):
    """A record in format 16 with a header written by hand; returns its path without .hea."""
    signal = digital(len(leads), 3 * rate) if signal is None else signal
    Path(folder, f"{name}.dat").write_bytes(signal.astype("<i2").tobytes())
    if header is None:
        lines = [f"{name} {len(leads)} {rate} {len(signal)}"]
        lines += [f"{name}.dat {fmt} {gain} 16 0 0 0 0 {lead}" for lead in leads]
        header = "\n".join(lines) + "\n" + extra
    Path(folder, f"{name}.hea").write_bytes(header if isinstance(header, bytes) else header.encode())
    return str(Path(folder, name))
