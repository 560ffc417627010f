"""The best design: settings that need the least energy at an accuracy."""
