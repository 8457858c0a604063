"""The sizes of what a network computes at the size of input it is fed, known without running it."""

from __future__ import annotations

import onnx

from fleetsift.schemas.ensemble import InputSpec


def value_shapes(network: onnx.ModelProto, images: str, kind: InputSpec) -> dict[str, tuple[int, ...]]:
    """The shapes of the values whose shapes can be told, for one image of this kind.

    What the file itself says of sizes is not believed: exporters write names where the sizes are known.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(network)
    del sized.graph.value_info[:]
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in sized.graph.input:
        if value.name == images:
            fed = onnx.helper.make_tensor_value_info(images, onnx.TensorProto.FLOAT, [1, 3, kind.height, kind.width])
            value.CopyFrom(fed)
    inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True).graph
    shapes = {value.name: _shape(value) for value in [*inferred.value_info, *inferred.output]}
    return {name: shape for name, shape in shapes.items() if shape is not None}


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(size.HasField("dim_value") for size in tensor.shape.dim):
        return None
    return tuple(size.dim_value for size in tensor.shape.dim)
