# SPDX-License-Identifier: Apache-2.0
"""PP-OCR reads a page: lines of text drawn in several sizes on shaded, noisy paper.

What lies between the two models is here in its plainest form: lines are level, so the boxes of
Differentiable Binarization (arXiv:1911.08947, 3.3) are upright rectangles.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bcai import Model
from whole_models import ocr

Image = pytest.importorskip("PIL.Image", reason="needs pillow: ./dev setup")
onnx = pytest.importorskip("onnx", reason="needs the onnx package: ./dev setup")

LINES = [  # left, top, size of the font in pixels, text
    (40, 24, 34, "Receipt No. 20417"),
    (40, 92, 24, "2 x Coffee, large: $7.80"),
    (40, 140, 24, "1 x Cheese sandwich: $6.25"),
    (40, 188, 24, "Total (incl. 19% tax): $14.05"),
    (40, 244, 18, "Thank you! Questions? Write to help@example.org"),
    (420, 24, 28, "Table 12"),
]
HEIGHT, WIDTH = 288, 640
Box = tuple[int, int, int, int]  # left, top, right, bottom


def drawn_page() -> np.ndarray:
    """u8[HEIGHT,WIDTH,3], as a camera might give it: uneven light, noise, JPEG."""
    from PIL import ImageDraw, ImageFont

    picture = Image.new("L", (WIDTH, HEIGHT), 255)
    pen = ImageDraw.Draw(picture)
    for left, top, size, text in LINES:
        pen.text((left, top), text, fill=30, font=ImageFont.load_default(size))
    light = np.linspace(0.75, 1.0, WIDTH) * np.linspace(1.0, 0.9, HEIGHT)[:, None]
    noise = np.random.default_rng(11).normal(0, 4, (HEIGHT, WIDTH))
    grey = np.clip(np.asarray(picture) * light + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).convert("RGB").save(file, "JPEG", quality=80)
    return np.asarray(Image.open(file))


def as_input(picture: np.ndarray) -> np.ndarray:
    """u8[H,W,3] as both models are fed it: f32[1,3,H,W] in [-1,1]."""
    return np.ascontiguousarray((picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None])


def components(mask: np.ndarray) -> list[np.ndarray]:
    """The row and column numbers of each connected part, [2,N]."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    parts = []
    while left:
        part, edge = [], [left.pop()]
        while edge:
            row, column = edge.pop()
            part.append((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge += near
        parts.append(np.array(part).T)
    return parts


def text_boxes(probability: np.ndarray) -> list[Box]:
    """Shrunken text regions grown to boxes, from top to bottom and left to right."""
    boxes = []
    for rows, columns in components(probability > 0.3):
        if probability[rows, columns].mean() < 0.5:
            continue
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        grow = 1.6 * height * width / (2 * (height + width))
        boxes.append((max(0, round(columns.min() - grow)), max(0, round(rows.min() - grow)),
                      min(WIDTH, round(columns.max() + grow)),
                      min(HEIGHT, round(rows.max() + grow))))
    return sorted(boxes, key=lambda box: (box[1] // 20, box[0]))


Recognize = Callable[[np.ndarray], np.ndarray]


def read_line(recognize: Recognize, alphabet: list[str], crop: np.ndarray) -> str:
    """The text by greedy CTC decoding: the likeliest at each step, repeats and blanks left out."""
    width = max(32, round(crop.shape[1] * 48 / crop.shape[0] / 8) * 8)
    line = np.asarray(Image.fromarray(crop).resize((width, 48), Image.Resampling.BILINEAR))
    likeliest = recognize(as_input(line))[0].argmax(axis=1)
    kept = likeliest[np.insert(np.diff(likeliest) != 0, 0, True) & (likeliest != 0)]
    return "".join(alphabet[index] for index in kept)


def alphabet_of(path: Path) -> list[str]:
    """Class 0 is the blank, the last one a space."""
    words = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return ["", *words["character"].splitlines(), " "]


def test_a_page_is_read() -> None:
    detector = Model.load(ocr("det"), shapes={"x": [1, 3, HEIGHT, WIDTH]})
    recognizer = Model.load(ocr("rec"), ranges={
        "p2o.DynamicDimension.0": [1, 1], "x_2": [48, 48], "p2o.DynamicDimension.1": [32, 960, 8]})
    session = pytest.importorskip("onnxruntime").InferenceSession(str(ocr("rec")))
    picture = drawn_page()
    boxes = text_boxes(detector.predict(as_input(picture))[0, 0])
    alphabet = alphabet_of(ocr("rec"))
    crops = [picture[top:bottom, left:right] for left, top, right, bottom in boxes]
    found = [read_line(recognizer.predict, alphabet, crop) for crop in crops]
    # The model leaves some spaces out, in onnxruntime too: all other characters are there.
    assert sorted(line.replace(" ", "") for line in found) == sorted(
        text.replace(" ", "") for *_, text in LINES)
    assert found == [read_line(lambda x: session.run(None, {"x": x})[0], alphabet, crop)
                     for crop in crops]
    assert "Thank you! Questions? Write to help@example.org" in found
