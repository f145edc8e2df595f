"""The stages at their edges: what each reads, which function of the package it calls, what it writes."""
