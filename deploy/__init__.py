"""A network as it ships: runtimes and precisions, files, exports, model cards."""
