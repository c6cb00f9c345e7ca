"""What the daemon does, shown in a few seconds, offline, and checked while it is shown. Not a part of the wheel."""
