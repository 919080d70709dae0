# SPDX-License-Identifier: Apache-2.0
# The directory itself, and the runner's own, lead elsewhere.
os.rmdir("outputs")
os.rename(".bcai", "moved")
os.symlink(os.path.dirname(CANARY), "outputs")
os.mkdir("elsewhere")
os.symlink("elsewhere", ".bcai")
os.symlink(CANARY, "elsewhere/outputs.json.bak")
twin("ends as any other", lambda: True)
