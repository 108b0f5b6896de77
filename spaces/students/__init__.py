"""The student axis: which network is trained."""
