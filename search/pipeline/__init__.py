"""The stages of a trial, from building the student to measuring its artifact."""
