"""Every recording of the book, by name; a file holds those of the chapter that is about it."""

from companion.record.registry import (
    anchors,
    byol,
    choosing,
    ddpg,
    dqn,
    generalise,
    generators,
    moco,
    sac,
    td3,
    teachers,
)

CHAPTERS = (dqn, ddpg, td3, sac, moco, byol, generalise, teachers, generators, anchors, choosing)
RECORDINGS = {recording.name: recording for chapter in CHAPTERS for recording in chapter.RECORDINGS}
