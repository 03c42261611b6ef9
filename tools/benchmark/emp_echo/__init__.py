"""The application that tools/bench measures."""
