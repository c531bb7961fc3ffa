"""Send a series by the simulated sender of libertem-dectris: for the judges' Python; tells its address, waits for a line."""

import sys

import libertem_dectris

n_frames = int(sys.argv[1])
sender = libertem_dectris.DectrisSim.new_mocked(uri="tcp://127.0.0.1", num_frames=n_frames, dwelltime=None, random_port=True)
sys.stdout.write(sender.get_uri() + "\n")
sys.stdout.flush()
sys.stdin.readline()
sender.send_headers()
sender.send_frames()
sender.send_footer()
sys.stdin.readline()
