"""The merged label map to the final one."""
