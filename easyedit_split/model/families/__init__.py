"""Model families as data: the module paths of each family's linear maps, one family a file."""
