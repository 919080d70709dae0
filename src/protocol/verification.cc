// SPDX-License-Identifier: Apache-2.0
#include "protocol/verification.h"

#include <array>

namespace bcai {
namespace {

using Verdict = Verification::Verdict;
constexpr std::array<std::string_view, 3> kVerdicts{"agreed", "differed", "undecided"};

json::value digest_or_null(const std::optional<Sha256>& digest) {
  return digest ? json::value(digest->text()) : json::value(nullptr);
}

std::optional<Sha256> read_commitment(Decoder& in, std::string_view key) {
  const json::value* value = in.take(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_string()) {
    if (Result<Sha256> digest = Sha256::parse(to_std(value->get_string())); digest) return *digest;
  }
  in.add(key, "expected 64 hexadecimal digits");
  return std::nullopt;
}

template <typename T>
void read_id(Decoder& in, std::string_view key, T& id) {
  std::string text;
  in.require(key, text);
  if (Result<T> parsed = T::parse(text); parsed) {
    id = *parsed;
  } else {
    in.add(key, parsed.error().message);
  }
}

ReplicaAnswer decode_answer(Decoder& in) {
  ReplicaAnswer answer;
  read_id(in, "attempt_id", answer.attempt);
  read_id(in, "node_id", answer.node);
  in.read("node_name", answer.node_name);
  answer.commitment = read_commitment(in, "commitment");
  if (const json::value* agrees = in.take("agrees"); agrees != nullptr && agrees->is_bool()) {
    answer.agrees = agrees->get_bool();
  }
  in.read("differs", answer.differs);
  in.read("instruction", answer.instruction);
  return answer;
}

}  // namespace

std::string_view name(Verdict verdict) { return kVerdicts[static_cast<size_t>(verdict)]; }

json::value encode(const Verification& verification) {
  json::array answers;
  for (const ReplicaAnswer& answer : verification.answers) {
    answers.push_back(
        json::object{{"attempt_id", answer.attempt.text()},
                     {"node_id", answer.node.text()},
                     {"node_name", answer.node_name},
                     {"commitment", digest_or_null(answer.commitment)},
                     {"agrees", answer.agrees ? json::value(*answer.agrees) : json::value(nullptr)},
                     {"differs", answer.differs},
                     {"instruction", answer.instruction}});
  }
  return json::object{{"verdict", to_json(name(verification.verdict))},
                      {"reason", verification.reason},
                      {"rerun_commitment", digest_or_null(verification.rerun_commitment)},
                      {"answers", std::move(answers)}};
}

Verification decode_verification(const json::value& value, std::vector<Finding>* findings) {
  Verification out;
  Decoder in(value, "", findings);
  std::string verdict;
  in.require("verdict", verdict);
  bool known = false;
  for (size_t i = 0; i < kVerdicts.size(); ++i) {
    if (verdict != kVerdicts[i]) continue;
    out.verdict = static_cast<Verdict>(i);
    known = true;
  }
  if (!known) in.add("verdict", "is not known");
  in.read("reason", out.reason);
  out.rerun_commitment = read_commitment(in, "rerun_commitment");
  const json::value* answers = in.take("answers");
  if (answers == nullptr || !answers->is_array()) {
    in.add("answers", "expected a list");
    return out;
  }
  for (size_t i = 0; i < answers->get_array().size(); ++i) {
    Decoder answer(answers->get_array()[i], fmt::format("/answers/{}", i), findings);
    out.answers.push_back(decode_answer(answer));
  }
  return out;
}

}  // namespace bcai
