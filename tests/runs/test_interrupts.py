"""Ctrl-C, SIGTERM and the end of the time."""

import signal
import threading
import time

import pytest

from companion.runs.interrupts import interruptible


@pytest.fixture
def ended():
    """What SIGTERM did before a loop: the numbers of the signals that came through to it."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def handlers() -> list:
    return [signal.getsignal(number) for number in BOTH]


BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("first", BOTH)
def test_ctrl_c_and_sigterm_ask_a_loop_to_end_and_the_second_does_what_it_ever_did(first, ended):
    before = handlers()
    with interruptible() as stop:
        assert not stop.asked
        signal.raise_signal(first)
        assert stop.asked
        assert stop.interrupted
        assert ended == []
        signal.raise_signal(signal.SIGTERM)
        assert ended == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert handlers() == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_the_signals_did_before_is_restored_also_after_an_error():
    before = handlers()
    assert before[1] == signal.SIG_DFL
    with pytest.raises(ValueError, match="broken"), interruptible():
        raise ValueError("broken")
    assert handlers() == before


@pytest.mark.parametrize("number", BOTH)
def test_a_loop_within_a_loop_is_ended_alone(number):
    with interruptible() as outer:
        with interruptible() as inner:
            signal.raise_signal(number)
        assert inner.asked
        assert not outer.asked
        signal.raise_signal(number)
        assert outer.asked


@pytest.mark.parametrize("number", BOTH)
def test_an_ignored_signal_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with interruptible() as stop:
            signal.raise_signal(number)
            assert not stop.asked
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_outside_the_main_thread_nothing_is_changed():
    before = handlers()
    seen = []

    def loop():
        with interruptible() as stop:
            seen.extend([stop.asked, handlers() == before])

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    assert seen == [False, True]


def test_a_loop_ends_when_its_time_is_up():
    with interruptible(seconds=0.01) as stop:
        time.sleep(0.02)
        assert stop.asked
        assert not stop.interrupted
    with interruptible(seconds=60) as stop:
        assert not stop.asked
