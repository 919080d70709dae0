// SPDX-License-Identifier: Apache-2.0
// node run.mjs FILE.wasm CASE: the best milliseconds of some runs, and the result's checksum.
import { readFileSync } from "node:fs";

const [file, name] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(file));
const { memory, memory_at: at, ...kernels } = instance.exports;

const floats = 6 << 20;
memory.grow(Math.ceil((4 * floats + at(0)) / 65536));

// The same numbers as in bench/traditional_vms.py.
function fill(first, count) {
  const view = new Float32Array(memory.buffer, at(first), count);
  for (let i = 0; i < count; ++i) view[i] = ((i * 7919) % 1000) / 1000 - 0.5;
}

const cases = {
  matmul: () => [kernels.matmul, [1 << 20, 1 << 20], 1 << 20, [1024, 1024, 1024]],
  matmul_blocked: () => [kernels.matmul_blocked, [1 << 20, 1 << 20], 1 << 20, [1024, 1024, 1024]],
  convolution: () => [kernels.convolution, [64 * 56 * 56, 64 * 64 * 9], 64 * 56 * 56, [64, 56]],
  attention: () =>
    [kernels.attention, [128 * 768, 128 * 768, 128 * 768], 128 * 768, [at(5 << 20), 128, 12]],
};

const [kernel, inputs, output, sizes] = cases[name]();
const places = [];
let next = 0;
for (const count of inputs) {
  fill(next, count);
  places.push(at(next));
  next += count;
}
places.push(at(next));
let best = Infinity;
for (let run = 0; run < 3; ++run) {
  const began = performance.now();
  kernel(...places, ...sizes);
  best = Math.min(best, performance.now() - began);
}
let sum = 0;
const result = new Float32Array(memory.buffer, at(next), output);
for (let i = 0; i < output; ++i) sum += Math.abs(result[i]);
console.log(JSON.stringify({ milliseconds: best, sum }));
