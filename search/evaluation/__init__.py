"""The folder of a finished student, and the measurement of the student in it."""
