"""Make the recordings: ``python -m companion.record NAME``, ``--missing`` or ``--list``.

How each one is made stands in ``registry``, a file a chapter. A run that was stopped, by ``--minutes``, by hand or by a
power cut, goes on where it was when started again.
"""

from companion.record.command import UNFINISHED, main
from companion.record.recorder import Recorder
from companion.record.recording import Recording
from companion.record.registry import RECORDINGS

__all__ = ["RECORDINGS", "UNFINISHED", "Recorder", "Recording", "main"]
