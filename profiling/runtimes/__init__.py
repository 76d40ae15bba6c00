"""What runs a deployed network: eager torch, compiled torch, ONNX Runtime and OpenVINO."""
