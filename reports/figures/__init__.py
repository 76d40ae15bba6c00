"""The figures, one file each: its record, how that is computed and how it is drawn."""
