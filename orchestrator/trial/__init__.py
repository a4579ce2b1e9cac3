"""One trial on a worker: its inputs, training, reports, checkpoints and preemption."""
