"""The lines by which anyone runs a student without this project."""

from search.data.dataset import DataInfo

_SNIPPET = """\
import json, numpy, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("model.onnx")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
size, mean, std = {size}, numpy.float32({mean}), numpy.float32({std})
image = Image.open("image.png").convert("{mode}")
side, (left, top) = min(image.size), [(length - min(image.size)) // 2 for length in image.size]
image = image.resize((size, size), Image.BILINEAR, box=(left, top, left + side, top + side))
pixels = (numpy.asarray(image, numpy.float32).reshape(size, size, -1) / 255 - mean) / std
print(labels[session.run(None, {{"input": pixels.transpose(2, 0, 1)[None]}})[0].argmax()])
"""


def snippet(data: DataInfo) -> str:
    """Ten lines that classify an image with ONNX Runtime, NumPy and Pillow alone."""
    return _SNIPPET.format(
        mode="L" if data.channels == 1 else "RGB",
        size=data.image_size,
        mean=list(data.mean),
        std=list(data.std),
    )
