"""What pages are made of: the picker, the headline, the table, one trial."""
