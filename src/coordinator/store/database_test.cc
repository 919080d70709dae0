// SPDX-License-Identifier: Apache-2.0
#include "coordinator/store/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "coordinator/store/artifacts.h"
#include "coordinator/store/keys.h"
#include "coordinator/store/row.h"
#include "coordinator/store/secrets.h"

namespace bcai::store {
namespace {

struct StoreTest : ::testing::Test {
  std::filesystem::path directory;
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "bcai_store_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory); }
  std::filesystem::path path() const { return directory / "bcai.db"; }

  std::unique_ptr<Database> open() {
    auto opened = Database::open(path());
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *std::move(opened) : nullptr;
  }
};

Result<void> put(Connection& db, int64_t number) {
  KeyRecord key{.id = {}, .name = "n", .role = "member", .hash = {}, .created_at = {number}};
  for (size_t i = 0; i < 8; ++i) key.id.bytes[i] = static_cast<uint8_t>(number >> (8 * i));
  return insert_key(db, key);
}

int64_t count(Database& db) {
  int64_t found = -1;
  const Result<void> read = db.read_now([&](Connection& connection) -> Result<void> {
    Statement row = connection.prepare("SELECT count(*) FROM keys");
    BCAI_TRY(row.step());
    found = row.integer(0);
    return {};
  });
  EXPECT_TRUE(read);
  return found;
}

TEST_F(StoreTest, KeepsWhatWasWrittenOverReopening) {
  {
    auto db = open();
    ASSERT_TRUE(db->write([](Connection& c) { return put(c, 1); }));
    EXPECT_EQ(count(*db), 1);
  }
  auto db = open();
  EXPECT_EQ(count(*db), 1);
}

TEST_F(StoreTest, TheFilesAreForTheirOwnerOnly) {
  auto db = open();
  ASSERT_TRUE(db->write([](Connection& c) { return put(c, 1); }));
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat status {};
    ASSERT_EQ(stat((path().string() + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 0777, 0600U) << suffix;
  }
}

TEST_F(StoreTest, AFailedWorkIsRolledBackAndLeavesItsGroupAlone) {
  auto db = open();
  std::mutex mutex;
  std::condition_variable wakes;
  bool go = false;
  // Holds the writer so that the next three form one group.
  db->write(
      [&](Connection&) -> Result<void> {
        std::unique_lock hold(mutex);
        wakes.wait(hold, [&] { return go; });
        return {};
      },
      nullptr);
  std::vector<Result<void>> outcomes;
  const auto keep = [&](Result<void> outcome) { outcomes.push_back(std::move(outcome)); };
  db->write([](Connection& c) { return put(c, 1); }, keep);
  db->write(
      [](Connection& c) -> Result<void> {
        BCAI_TRY(put(c, 2));
        return put(c, 1);
      },
      keep);
  db->write([](Connection& c) { return put(c, 3); }, keep);
  {
    std::lock_guard hold(mutex);
    go = true;
  }
  wakes.notify_all();
  ASSERT_TRUE(db->write([](Connection&) { return Result<void>(); }));
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_TRUE(outcomes[0]);
  ASSERT_FALSE(outcomes[1]);
  EXPECT_EQ(outcomes[1].error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(outcomes[2]);
  EXPECT_EQ(count(*db), 2);
}

TEST_F(StoreTest, DoneComesAfterTheCommitIsVisibleToReaders) {
  auto db = open();
  std::atomic<int64_t> seen{-1};
  std::mutex mutex;
  std::condition_variable wakes;
  db->write([](Connection& c) { return put(c, 1); },
            [&](Result<void> outcome) {
              EXPECT_TRUE(outcome);
              db->read([&](Connection& connection) {
                Statement row = connection.prepare("SELECT count(*) FROM keys");
                EXPECT_TRUE(row.step());
                std::lock_guard hold(mutex);
                seen = row.integer(0);
                wakes.notify_all();
              });
            });
  std::unique_lock hold(mutex);
  wakes.wait(hold, [&] { return seen >= 0; });
  EXPECT_EQ(seen, 1);
}

TEST_F(StoreTest, ManyProducersLoseNothing) {
  auto db = open();
  std::vector<std::thread> producers;
  std::atomic<int> failed{0};
  for (int p = 0; p < 8; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < 25; ++i) {
        if (!db->write([&](Connection& c) { return put(c, p * 100 + i); })) failed += 1;
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(count(*db), 200);
}

TEST_F(StoreTest, TheDestructorWaitsForQueuedWrites) {
  std::atomic<int> done{0};
  {
    auto db = open();
    for (int i = 0; i < 50; ++i) {
      db->write([i](Connection& c) { return put(c, i); }, [&](Result<void>) { done += 1; });
    }
  }
  EXPECT_EQ(done, 50);
  EXPECT_EQ(count(*open()), 50);
}

TEST_F(StoreTest, ReadersCannotWrite) {
  auto db = open();
  const Result<void> written = db->read_now([](Connection& c) { return put(c, 1); });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(count(*db), 0);
}

TEST_F(StoreTest, ASecondProgramOnTheSameFileIsRefused) {
  auto db = open();
  const auto second = Database::open(path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(StoreTest, ADatabaseOfANewerProgramIsRefused) {
  {
    auto db = open();
    ASSERT_TRUE(db->write([](Connection& c) {
      return c.execute("INSERT INTO schema_migrations VALUES (99, 'later', x'00')");
    }));
  }
  const auto opened = Database::open(path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(opened.error().message.find("newer"), std::string::npos);
}

TEST_F(StoreTest, ARevokedKeysSecretsGo) {
  auto db = open();
  ASSERT_TRUE(db->write([](Connection& c) -> Result<void> {
    BCAI_TRY(put(c, 1));
    BCAI_TRY(put(c, 2));
    KeyId one;
    one.bytes[0] = 1;
    KeyId two;
    two.bytes[0] = 2;
    BCAI_TRY(put_secret(c, {}, one, "A", "sealed", 1));
    BCAI_TRY(put_secret(c, {}, one, "B", "sealed", 1));
    BCAI_TRY(put_secret(c, {}, two, "A", "sealed", 1));
    BCAI_TRY(revoke_key(c, {5}, one));
    EXPECT_EQ(find_secret(c, one, "A").error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(find_secret(c, two, "A"));
    BCAI_TRY_ASSIGN(const int64_t left, count_secrets(c));
    EXPECT_EQ(left, 1);
    // What was on its way when the key was revoked.
    EXPECT_EQ(put_secret(c, {}, one, "C", "sealed", 1).error().code, ErrorCode::kUnauthenticated);
    return {};
  }));
}

// As it was before the second migration.
Result<void> make_first(Connection& c) {
  return c.execute(
      "DROP TABLE secrets;"
      "ALTER TABLE keys DROP COLUMN network;"
      "ALTER TABLE artifact_uses DROP COLUMN input;"
      "ALTER TABLE attempts DROP COLUMN commitment;"
      "ALTER TABLE attempts DROP COLUMN replica;"
      "DROP INDEX jobs_verifying;"
      "ALTER TABLE jobs DROP COLUMN verification;"
      "ALTER TABLE jobs DROP COLUMN quote;"
      "ALTER TABLE jobs DROP COLUMN replicas;"
      "DROP INDEX artifact_uploads_unused;"
      "ALTER TABLE artifact_uploads DROP COLUMN unused_bytes;"
      "DELETE FROM schema_migrations WHERE number > 1");
}

TEST_F(StoreTest, UsesOfAnOlderDatabaseAreInputsOrOutputs) {
  const Sha256 input = Sha256::of("input");
  {
    auto db = open();
    ASSERT_TRUE(db->write([&](Connection& c) -> Result<void> {
      BCAI_TRY(insert_artifact_use(c, input, JobId{}, ArtifactUse::kOutput));
      BCAI_TRY(insert_artifact_use(c, Sha256::of("output"), JobId{}, ArtifactUse::kOutput));
      BCAI_TRY(c.execute(fmt::format(
          "INSERT INTO jobs (id, owner, digest, name, state, desired, responsible, reason_code,"
          " reason, version, epoch, created_at, max_retries, timeout_ms, queue_timeout_ms, shape,"
          " needs, spec, code) VALUES (zeroblob(16), x'00', x'00', '', 'active', 'run', '', '', '',"
          " 1, 1, 1, 0, 0, 0, 0, '{{}}', '{{\"files\":[{{\"sha256\":\"{}\"}}]}}', '')",
          input.text())));
      return make_first(c);
    }));
  }
  std::vector<Sha256> inputs;
  ASSERT_TRUE(open()->read_now([&](Connection& c) -> Result<void> {
    Statement rows = c.prepare("SELECT sha256 FROM artifact_uses WHERE input = 1");
    while (true) {
      BCAI_TRY_ASSIGN(const bool row, rows.step());
      if (!row) return {};
      inputs.push_back(bytes_at<Sha256>(rows, 0));
    }
  }));
  EXPECT_EQ(inputs, std::vector<Sha256>{input});
}

TEST_F(StoreTest, UploadsOfAnOlderDatabaseAreCounted) {
  const KeyId key{.bytes = {7}};
  const auto bring = [&](Connection& c, std::string_view data) {
    return insert_artifact(c, {Sha256::of(data), static_cast<int64_t>(data.size()), {}}, key);
  };
  {
    auto db = open();
    ASSERT_TRUE(db->write([&](Connection& c) -> Result<void> {
      BCAI_TRY(bring(c, "unused"));
      BCAI_TRY(bring(c, "used by a job"));
      BCAI_TRY(insert_artifact_use(c, Sha256::of("used by a job"), JobId{}, ArtifactUse::kInput));
      return make_first(c);
    }));
  }
  int64_t unused = 0;
  ASSERT_TRUE(open()->read_now([&](Connection& c) -> Result<void> {
    BCAI_TRY_ASSIGN(unused, unused_bytes(c, key));
    return {};
  }));
  EXPECT_EQ(unused, 6);
}

TEST_F(StoreTest, AChangedMigrationIsRefused) {
  {
    auto db = open();
    ASSERT_TRUE(db->write([](Connection& c) {
      return c.execute("UPDATE schema_migrations SET sha256 = zeroblob(32)");
    }));
  }
  const auto opened = Database::open(path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(StoreTest, AFileThatIsNoDatabaseIsRefused) {
  {
    FILE* file = fopen(path().c_str(), "w");
    ASSERT_NE(file, nullptr);
    for (int i = 0; i < 200; ++i) fputs("this is not a database; ", file);
    fclose(file);
  }
  const auto opened = Database::open(path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
}

TEST(MemoryStoreTest, ReadsAndWritesShareOneConnection) {
  auto opened = Database::open(":memory:");
  ASSERT_TRUE(opened) << opened.error().message;
  Database& db = **opened;
  ASSERT_TRUE(db.write([](Connection& c) { return put(c, 7); }));
  EXPECT_EQ(count(db), 1);
}

TEST(MemoryStoreTest, OneLiteralCanRunTwiceAtOnce) {
  auto opened = Database::open(":memory:");
  ASSERT_TRUE(opened);
  ASSERT_TRUE((*opened)->write([](Connection& c) -> Result<void> {
    static constexpr const char* kSql = "SELECT value FROM json_each('[1,2,3]')";
    int64_t sum = 0;
    Statement outer = c.prepare(kSql);
    while (*outer.step()) {
      Statement inner = c.prepare(kSql);
      while (*inner.step()) sum += outer.integer(0) * inner.integer(0);
    }
    EXPECT_EQ(sum, 36);
    return {};
  }));
}

}  // namespace
}  // namespace bcai::store
