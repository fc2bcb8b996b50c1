"""Before people are asked: rehearsal, stand-in reviewers, synthetic queries."""
