"""One self-contained HTML page of a folder of results: curves, what the model writes over m, tables, settings."""
