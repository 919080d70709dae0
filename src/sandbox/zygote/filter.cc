// SPDX-License-Identifier: Apache-2.0
#include "sandbox/zygote/filter.h"

#include <seccomp.h>
#include <sys/mman.h>

#include <memory>

#include "sandbox/seccomp.h"

namespace bcai::sandbox {
namespace {

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

scmp_arg_cmp compare(const ArgumentRule& rule) {
  switch (rule.compare) {
    case Compare::kEqual: return {rule.index, SCMP_CMP_EQ, rule.value, 0};
    case Compare::kNotEqual: return {rule.index, SCMP_CMP_NE, rule.value, 0};
    case Compare::kMaskedEqual: break;
  }
  return {rule.index, SCMP_CMP_MASKED_EQ, rule.value, rule.value_two};
}

uint32_t action_of(const SeccompRule& rule, bool counting) {
  if (counting && rule.counted) return SCMP_ACT_NOTIFY;
  if (rule.errno_value == 0) return SCMP_ACT_ALLOW;
  return SCMP_ACT_ERRNO(static_cast<uint32_t>(rule.errno_value));
}

Result<void> add(const Context& context, const SeccompRule& rule, uint32_t action,
                 const std::string& call) {
  const int number = seccomp_syscall_resolve_name(call.c_str());
  if (number < 0) return {};  // of another architecture, or newer than the library: refused anyway
  scmp_arg_cmp argument{};
  if (rule.argument) argument = compare(*rule.argument);
  const int failed =
      seccomp_rule_add_array(context.get(), action, number, rule.argument ? 1 : 0, &argument);
  if (failed == 0) return {};
  return errno_error(-failed, "add a rule for the system call " + call);
}

}  // namespace

Result<UniqueFd> make_filter(bool counting) {
  const Context context(seccomp_init(SCMP_ACT_ERRNO(kSeccompDefaultErrno)));
  if (!context) return error(ErrorCode::kInternal, "libseccomp makes no filter");
  // A tree instead of a chain: a call is judged in a dozen steps instead of hundreds.
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const SeccompRule& rule : seccomp_rules()) {
    if (rule.errno_value == kSeccompDefaultErrno) continue;
    for (std::string_view calls = rule.calls; !calls.empty();) {
      const size_t end = std::min(calls.find(' '), calls.size());
      BCAI_TRY(add(context, rule, action_of(rule, counting), std::string(calls.substr(0, end))));
      calls.remove_prefix(std::min(end + 1, calls.size()));
    }
  }
  UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return errno_error(errno, "make a file in memory");
  if (const int failed = seccomp_export_bpf(context.get(), file.get()); failed != 0) {
    return errno_error(-failed, "write the filter of system calls");
  }
  return file;
}

}  // namespace bcai::sandbox
