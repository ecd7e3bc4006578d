"""The forms of layers in which XLA is fast on a CPU, each tested against the plain one."""
