"""`softspoken-lab bench`: ways of transcribing, side by side on this machine. Each runs in a process of its own.

Read in this order: `tasks` (what is transcribed), `specs` (by whom), `rounds` (in which order), `worker` (what happens
in the processes), `summary` (what is made of it), `run` (all of it together).
"""
