"""Following a scan that another control system runs: its scan table becomes the words of the journal."""
