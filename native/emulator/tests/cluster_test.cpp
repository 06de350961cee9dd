// Clusters of blocks. Usage: cluster_test [seeds] [first seed]
#include <vector>

#include "check.h"
#include "launcher.h"

namespace {

void right_uses(std::uint64_t seed) {
  std::vector<unsigned> ranks(8 * 4, ~0u);
  Result result = Launcher("ranks").grid(8, 4).block(32).seed(seed)(ranks.data());
  EXPECT(result.code == 0, result.reason);
  for (unsigned i = 0; i < 32; i++) EXPECT(ranks[i] == i % 2 + i / 8 % 2 * 2, i);

  std::vector<int> out(40, -1);
  result = Launcher("take_turns").grid(4).block(64).seed(seed)(out.data(), 40);
  EXPECT(result.code == 0, result.reason);
  for (int i = 0; i < 40; i++) EXPECT(out[i] == i + 1, i << ": " << out[i] << ", seed " << seed);

  std::vector<int> done(64);
  result = Launcher("some_exit").grid(2).block(96).seed(seed)(done.data());
  EXPECT(result.code == 0, result.reason);
  for (int x : done) EXPECT(x == 1, x);

  std::vector<unsigned> mapped(64);
  result = Launcher("maps").grid(2).block(32).seed(seed)(mapped.data());
  EXPECT(result.code == 0, result.reason);
  for (unsigned x : mapped) EXPECT(x == 1, x);
}

void expect_report(const Result& result, int code, const std::vector<const char*>& parts) {
  EXPECT(result.code == code, "code " << result.code << ": " << result.reason);
  for (const char* part : parts) EXPECT(contains(result.reason, part), result.reason);
}

void wrong_uses(std::uint64_t seed) {
  std::vector<unsigned> out(64);
  auto with = [seed](const char* name, unsigned blocks) {
    return Launcher(name).grid(blocks).block(32).seed(seed);
  };
  expect_report(Launcher("ranks").grid(3, 4).block(32)(out.data()), 1, {"__cluster_dims__"});
  expect_report(with("arrives_twice_at_cluster", 2)(), 719,
                {"kernel arrives_twice_at_cluster, block (1,0,0), warp 0, lane ", "clusters.cu:3",
                 "again without having waited"});
  expect_report(with("waits_without_arrival", 2)(), 719,
                {"clusters.cu:3", "without having arrived"});
  expect_report(with("waits_for_the_other", 2).block(64)(), 702,
                {"deadlock", "block (0,0,0)", "block (1,0,0)", "threads 0-63 wait at cluster_wait",
                 "the cluster's barrier: 96 of 128 threads arrived", "barrier 1: 32 of 64"});
  expect_report(with("maps_to_nobody", 2)(out.data()), 700,
                {"no block 2 in a cluster of 2 blocks", "clusters.cu:47"});
  expect_report(with("reads_the_other_block", 2)(out.data()), 700,
                {"clusters.cu:", "its own block"});
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 20;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 1;
  for (const char* adversary : {"random", "earliest", "latest", "off"}) {
    setenv("REMASK_EMULATOR_ADVERSARY", adversary, 1);
    for (std::uint64_t seed = first; seed < first + seeds; seed++) {
      right_uses(seed);
      wrong_uses(seed);
    }
  }
  std::printf("%d failures, seeds %llu to %llu\n", failures(), (unsigned long long)first,
              (unsigned long long)(first + seeds - 1));
  return failures() == 0 ? 0 : 1;
}
