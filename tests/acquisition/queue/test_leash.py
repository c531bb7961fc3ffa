"""The worker of a queue whose process is gone: it aborts what flies, and ends with all its processes."""

import subprocess
import sys
from pathlib import Path

WORKER = """
import os, sys, time
from pathlib import Path
from acquisition.queue.leash import hold_leash

os.setsid()

class Engine:
    state = "running"
    def abort(self, reason):
        Path(sys.argv[2]).write_text(reason)
        Engine.state = "idle"

hold_leash(int(sys.argv[1]), engine=Engine())
print("held", flush=True)
time.sleep(100)
"""
PATIENCE_S = 60


def test_worker_whose_queue_process_is_killed_aborts_what_flies_and_ends(tmp_path: Path) -> None:
    aborted = tmp_path / "aborted"
    root = Path(__file__).parents[3]
    queue = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(queue.pid), str(aborted)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert worker.stdout is not None
        assert "held" in worker.stdout.readline()
        assert worker.poll() is None
        queue.kill()
        queue.wait(PATIENCE_S)
        assert worker.wait(PATIENCE_S) == -9, "it ends its whole group"
    finally:
        queue.kill()
        worker.kill()
        worker.communicate()
    assert aborted.read_text() == "the queue process died"
