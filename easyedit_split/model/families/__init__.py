"""Model families: what structure cannot say of a kind of model, one family a file; most kinds need none."""
