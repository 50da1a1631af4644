"""Moderation of a workspace: its lists, rules and classifier."""
