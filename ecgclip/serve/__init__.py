"""A page in the browser and an HTTP API, for one machine or a few colleagues: `ecgclip serve`.

    request ──guard──▶ app ──upload──▶ worker processes: read, measure, draw ──▶ threads of the model ──▶ JSON
                        └ desk: what is asked of one ECG, wherever it comes from

Entry point: `serve`. Nothing is kept on disk, and nothing is sent anywhere.
"""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.serve.limits import Limits as Limits
    from ecgclip.serve.run import serve as serve

__all__ = ["Limits", "serve"]
__getattr__, __dir__ = attach(__name__, {"Limits": "ecgclip.serve.limits", "serve": "ecgclip.serve.run"})
