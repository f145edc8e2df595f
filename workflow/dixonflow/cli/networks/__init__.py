"""Commands on networks: importing, verifying, evaluating, comparing and retraining them."""
