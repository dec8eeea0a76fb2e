"""The trainings of the first paper's studies that the product does not need: prompt tuning's rivals, a corpus's own
mixtures, everybody's words in short windows. What trains a prompt for one voice is `softspoken.training`.
"""
