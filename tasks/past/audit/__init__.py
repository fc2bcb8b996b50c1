"""The whole history, accounted for: every model to what made it, every answer to its row in the ledger and back.

Pure functions, a question a file; `run.py` reads what they are asked about.
"""
