"""The words everybody uses, a file per subject."""
