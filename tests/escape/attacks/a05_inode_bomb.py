# SPDX-License-Identifier: Apache-2.0
# The driver's limit is 500 files.
def fill(place):
    count = 0
    try:
        while count < 5000:
            os.close(os.open(f"{place}/n{count}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError:
        pass
    for number in range(count):
        os.unlink(f"{place}/n{number}")
    return count


for place in ("/work", "/tmp", "/dev/shm"):
    attack(f"more files in {place} than allowed", lambda: fill(place) > 500)
    twin(f"some files in {place}", lambda: fill(place) > 100)
