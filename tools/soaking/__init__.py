"""Behind tools/soak: an application under fire, and the accounts of what became of each message."""
