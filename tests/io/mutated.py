"""Damaged files, the same ones at each run."""

import random


def mutations(data, marks, beginning=2000, n=100):
    """Yield `n` copies of `data` with a few bytes of `marks` in them, half of them early; some are cut off."""
    mutate = random.Random(0)
    for _ in range(n):
        copy = bytearray(data)
        for _ in range(mutate.randint(1, 8)):
            copy[mutate.randrange(min(beginning if mutate.random() < 0.5 else len(copy), len(copy)))] = mutate.choice(
                marks
            )
        if mutate.random() < 0.2:
            del copy[mutate.randrange(1, len(copy)) :]
        yield bytes(copy)
