# SPDX-License-Identifier: Apache-2.0
# Says what only the supervisor may say.
twin("messages", lambda: os.write(3, b'{"metric":{"name":"loss","value":1}}\n') > 0)
for line in ('{"started":true}', '{"outcome":"finished","exit_code":0}', "not JSON", "{" * 5000,
             '{"progress":{"fraction":7}}', "\x1b]0;title\x07", '{"started":true}' * 9000):
    try:
        os.write(3, line.encode() + b"\n")
    except BlockingIOError:
        pass
print('{"outcome": "finished", "exit_code": 0, "usage": {"cpu_ms": 0}}\x1b[2J\x1b]52;c;eA==\x07')
os.makedirs("/work/.bcai", exist_ok=True)
open("/work/.bcai/outputs.json", "w").write(
    '{"outputs": {"forged": 1}, "tensors": [], "left_out": [], "error": null, "exit_code": 0}')
open("/work/.bcai/outputs.safetensors", "wb").write(b"\xff" * 100)
os._exit(5)
