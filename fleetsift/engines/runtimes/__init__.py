"""What runs the graph of an ensemble: ONNX Runtime and TensorRT, on a CPU or a GPU."""
