"""The paper's Figures 2, 4 and 5, drawn with Matplotlib."""
