"""The loop of retraining: select, export, return, train, import, evaluate, stop."""
