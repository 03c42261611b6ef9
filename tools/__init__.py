"""What developers of EMP run. The tests import from here; nothing here is installed with EMP."""
