"""What the operating system is asked for: files, locks, processes, documents of others."""
