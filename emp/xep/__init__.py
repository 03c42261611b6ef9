"""One module for each XEP: what its payloads mean, and how they are built. No I/O, no clock."""
