from dataclasses import dataclass


@dataclass(frozen=True)
class Recording:
    notes: tuple[str, ...] = ()
    silence: tuple = ()

    def decides(self):
        if self.silence:
            words = "measured: no heartbeat from %.1f to %.1f s" % self.silence[0]
            return {"asystole": (0.99, words), "normal-ecg": (0.01, words)}
        return {}


def observe(ecg, prepared, beats, measurements):
    return Recording((), prepared.silence)
