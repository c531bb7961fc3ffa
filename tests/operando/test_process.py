"""A process hears of a signal whatever its main thread waits for."""

import subprocess
import sys
import time

DEAF = """
import os, signal, sys, threading
stop = {stop}
def end():
    stop.wait()
    os._exit(0)
# The system can hand the signal to this thread only: the main one blocks it.
threading.Thread(target=end, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
threading.Event().wait()
"""
OURS = "__import__('operando.process').process.stop_on_signals()"
PLAIN = "threading.Event()\nsignal.signal(signal.SIGTERM, lambda *_: stop.set())"


def deaf(stop: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", DEAF.format(stop=stop)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_signal_stops_a_process_whose_main_thread_waits_without_limit() -> None:
    plain, ours = deaf(PLAIN), deaf(OURS)
    try:
        plain.terminate()
        ours.terminate()
        assert ours.wait(timeout=60) == 0
        time.sleep(0.2)
        assert plain.poll() is None  # a handler alone is not run
    finally:
        for process in (plain, ours):
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]
