"""One file per revision, named by number and subject; never edited once released."""
