"""Kill, cut, fill and restart; nothing may be lost."""
