"""Rows of a study trained, scored and set beside each other: of one voice, of speech in noise, and over a grid."""
