// SPDX-License-Identifier: Apache-2.0
#include "coordinator/programs/compare.h"

#include <algorithm>

#include "base/clip.h"
#include "coordinator/programs/answer.h"
#include "protocol/program_exit.h"

namespace bcai::coordinator {
namespace {

constexpr size_t kReasonBytesMax = 4000;  // what is read back is 4096

void compare(const vm::Program& program, ReplicaClaim& claim, const Rerun& rerun) {
  ReplicaAnswer& answer = claim.answer;
  if (claim.receipt.empty()) {
    const bool failed_itself =
        claim.outcome == Outcome::kFinished && claim.exit_code == kProgramFailedExit;
    answer.agrees = failed_itself && !rerun.receipt;
    if (!*answer.agrees) {
      answer.differs = fmt::format("it says that the program failed ({})", name(claim.outcome));
    }
    return;
  }
  answer.agrees = false;
  if (!rerun.receipt) {
    answer.differs = fmt::format("the program fails: {}", rerun.failure);
    return;
  }
  const Result<vm::Receipt> receipt = read_receipt(claim.receipt);
  if (!receipt) {  // it was read when it came
    answer.differs = receipt.error().message;
    return;
  }
  answer.agrees = receipt->commitment() == rerun.receipt->commitment();
  if (*answer.agrees) return;
  const auto difference = vm::compare_receipts(program, *receipt, *rerun.receipt);
  answer.differs = difference ? clip_utf8(difference->what, 400) : "commitment";
  if (difference && difference->value)
    answer.instruction = vm::maker_of(program, *difference->value);
}

std::string sentence(const std::vector<ReplicaAnswer>& answers) {
  std::vector<std::string> wrong;
  for (const ReplicaAnswer& answer : answers) {
    if (answer.agrees == true) continue;
    wrong.push_back(fmt::format("{} differs from the re-run: {}{}{}", answer.node_name,
                                answer.differs, answer.instruction.empty() ? "" : ", from ",
                                answer.instruction));
  }
  const size_t right = answers.size() - wrong.size();
  return fmt::format("{}; {} of {} replicas agree{} with it", fmt::join(wrong, "; "), right,
                     answers.size(), right == 1 ? "s" : "");
}

}  // namespace

Verification compare_with_rerun(const vm::Program& program, std::vector<ReplicaClaim> claims,
                                const Rerun& rerun) {
  Verification verification{.verdict = Verification::Verdict::kDiffered,
                            .reason = {},
                            .rerun_commitment = {},
                            .answers = {}};
  if (rerun.receipt) verification.rerun_commitment = rerun.receipt->commitment();
  for (ReplicaClaim& claim : claims) {
    compare(program, claim, rerun);
    verification.answers.push_back(std::move(claim.answer));
  }
  verification.reason = clip_utf8(sentence(verification.answers), kReasonBytesMax);
  return verification;
}

}  // namespace bcai::coordinator
