"""Models as ONNX graphs, run by onnxruntime under our own search."""
