"""What the labels were worth: learning curves, savings, the worth of the next batch, paired tests, active testing.

Pure functions over arrays; the stages `prove`, `promote` and `evaluate` feed them.
"""
