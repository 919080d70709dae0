// SPDX-License-Identifier: Apache-2.0
#include "sandbox/slots.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <thread>

#include "sandbox/test_run.h"

namespace bcai::sandbox {
namespace {

TEST(Slots, EachHasIdsOfItsOwnAndGivesThemBack) {
  Slots slots(make_temporary_directory(), 300'000, 2);
  auto first = slots.acquire();
  std::optional<Slots::Lease> second(*slots.acquire());
  ASSERT_TRUE(first);
  EXPECT_EQ((std::set<uint32_t>{first->uid(), second->uid()}),
            (std::set<uint32_t>{300'000, 300'002}));
  const uint32_t freed = second->uid();
  std::thread waiter([&] { EXPECT_EQ(slots.acquire()->uid(), freed); });
  second.reset();
  waiter.join();
}

TEST(Slots, TwoEnginesDoNotShare) {
  const auto directory = make_temporary_directory();
  Slots ours(directory, 300'000, 2);
  Slots theirs(directory, 300'000, 2);
  const auto a = ours.acquire();
  const auto b = theirs.acquire();
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->uid(), b->uid());
  Slots late(directory, 300'000, 2);
  const auto none = late.acquire();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kResourceExhausted);
}

TEST(Slots, QuarantinedIdsStayOut) {
  Slots slots(make_temporary_directory(), 300'000, 2);
  uint32_t bad = 0;
  {
    auto lease = slots.acquire();
    bad = lease->uid();
    lease->quarantine();
  }
  for (int i = 0; i < 3; i++) EXPECT_NE(slots.acquire()->uid(), bad);
}

}  // namespace
}  // namespace bcai::sandbox
