"""Every recording of the book, by name; a file holds those of the chapter that is about it."""

from companion.record.registry import byol, choosing, ddpg, dqn, ema, moco, sac, td3

RECORDINGS = {
    recording.name: recording
    for chapter in (ema, dqn, ddpg, td3, sac, moco, byol, choosing)
    for recording in chapter.RECORDINGS
}
