"""What is learnt and how it is scored: GLUE, own files, the embedded task, splits, metrics."""
