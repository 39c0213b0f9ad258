"""A run, and what may befall it: settings, checkpoints, Ctrl-C, time limits, divergence, several processes."""
