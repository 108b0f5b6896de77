"""Parts of the pages: the study picker, the headline, the table, one trial."""
