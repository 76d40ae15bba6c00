"""The report: figures, tables and one offline page, made from records without torch."""
