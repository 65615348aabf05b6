"""
Identity of what is running: version, commit, hashes of artifacts.

Reads files and Git, changes nothing.  Imported by the command line and operations;
a new kind of artifact gets a file of its own here.
"""
