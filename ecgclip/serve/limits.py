"""What a stranger's request may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from ecgclip.processes import cores

MB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes
    ----------
    max_mb
        Of the files of a request together.
    time_s
        A worker process reads and measures, or draws, for so long at the most.
    workers
        Worker processes.
    files, records
        Of a request.
    labels, text
        Labels of a request; characters of a field.
    memory_mb
        Of a worker process.
    held_mb
        Of all ECGs that were opened and are held.
    header_s, body_s, answer_s
        Within which a client sends its headers and its files, and takes the answer.
    waiting
        Requests that wait for their turn; `at_work` have it.
    connections
        At once.
    """

    max_mb: int = 64
    time_s: float = 30
    workers: int = field(default_factory=cores)
    files: int = 32
    records: int = 100
    labels: int = 100
    text: int = 10_000
    memory_mb: int = 3072
    held_mb: int = 256
    header_s: float = 10
    body_s: float = 30
    answer_s: float = 30
    waiting: int = 64
    connections: int = 400

    @property
    def at_work(self) -> int:
        """Requests that are worked on at once."""
        return max(16, 4 * self.workers)

    @property
    def patience_s(self) -> float:
        """Waiting for others, and being worked on, may take so long."""
        return 2 * self.time_s
