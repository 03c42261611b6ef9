"""The console scripts: the outermost layer."""
