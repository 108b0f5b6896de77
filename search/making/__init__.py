"""One recipe's way: from a student to its measured artifact, stage by stage."""
