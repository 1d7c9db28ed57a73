"""The paper's study as one command: train, sweep, fit, choose m, generate and judge every cell, then tabulate."""
