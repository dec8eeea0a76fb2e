"""What people see of the analyses and of compared runs: the page, its plots and tables, heat maps, sentences."""
