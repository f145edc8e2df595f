"""What computes the layers of a network on a CPU: torch, the reference, or a backend that gives the same labels faster.

`device` finds what computes, `choice` the backend for a model on this machine; `openvino` makes a network of torch one
of OpenVINO.
"""
