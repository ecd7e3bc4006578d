"""How fast the two backends are, side by side: `centernet bench`."""
