# SPDX-License-Identifier: Apache-2.0
import resource

attack("allow core files", lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)))
code = in_child(os.abort)
attack("a core file", lambda: [
    name for place in ("/work", "/tmp") for name in os.listdir(place)
    if "core" in name and name != os.path.basename(__file__)] or False)
twin("a child that crashes is seen", lambda: code == -signal.SIGABRT)
