"""Removing what is known of participants who withdraw."""
