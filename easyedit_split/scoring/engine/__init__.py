"""Fast scoring with cached hidden states: the frozen part of the model runs once, shared tokens run once.

    sum of log-probabilities over an answer, as ``scoring`` defines it, from
        h + delta(form, x, m)   entering behind the touched block, h and x read from a cache of the bare model
        rows that are token tries: a token behind the same beginning under the same m is run once
        logits of the positions that predict an answer token, and no others

``scorer.scores_over_m`` gives losses at many m; ``engine.Engine`` is what it and training are made of: ``prepare``,
``launches``, ``losses``, with gradients. docs/engine.md walks through why each step is exact; ``scoring.score`` is what
all of it is held against.
"""
