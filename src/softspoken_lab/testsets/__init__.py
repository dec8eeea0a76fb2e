"""Test sets that studies make: noisy speech, and a grid of talkers, overlap and level."""
