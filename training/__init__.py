"""The training loop, its state and schedule, and distillation; knows no method."""
