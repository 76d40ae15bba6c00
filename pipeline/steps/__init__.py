"""The steps of a run, one file each: a function of the run's context that does what is missing."""
