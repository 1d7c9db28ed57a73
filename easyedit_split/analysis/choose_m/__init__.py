"""Choose m for an intervention: from scored pairs, judged texts or fitted curves, with grid refinement."""
