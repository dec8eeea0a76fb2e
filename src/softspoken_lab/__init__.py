"""The laboratory of softspoken: the studies, analyses, test sets and benchmarks behind the papers' tables and figures.

It imports softspoken, which never imports it. Its command is `softspoken-lab`, its extra `lab`.
"""
