"""What `make bench` measures: ours beside a named peer, in the same run, on the machine it runs on."""
