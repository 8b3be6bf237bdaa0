"""Many processes on one port: the supervisor that starts and replaces them, and their line to it."""
