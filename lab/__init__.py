"""The embedded lab: the platform's real parts on one Linux machine."""
