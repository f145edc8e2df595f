"""Commands on networks: importing published ones and verifying them."""
