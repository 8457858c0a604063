"""An ensemble as one ONNX graph: frames in, every member's logits or the frame's numbers out."""
