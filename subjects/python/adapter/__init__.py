"""The thin interpreter between the control plane and the runtime."""
