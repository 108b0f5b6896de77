"""One recipe's way, from its student to the measured artifact, stage by stage."""
