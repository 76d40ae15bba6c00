"""The run folder and the steps that fill it, shared by the Python interface and the commands."""
