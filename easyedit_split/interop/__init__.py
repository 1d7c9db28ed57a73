"""Export and import: a trained intervention as other tools' files, and theirs as an artifact; one format a file."""
