"""Word errors with their intervals, and how texts are written alike before they are compared."""
