// Prints what a fiber switch costs: time of kernels that only wait, per thread and wait.
#include <chrono>

#include "launcher.h"

int main() {
  const int rounds = 2000;
  std::vector<int> out(1024);
  for (unsigned threads : {32u, 128u, 256u, 1024u}) {
    double best[3] = {1e9, 1e9, 1e9};
    for (int attempt = 0; attempt < 5; attempt++) {
      auto timed = [&](int which, auto run) {
        auto begin = std::chrono::steady_clock::now();
        run();
        double ns =
            std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
                .count();
        if (ns < best[which]) best[which] = ns;
      };
      timed(0, [&] { Launcher("only_barriers").block(threads)(rounds); });
      timed(1, [&] { Launcher("only_shuffles").block(threads)(out.data(), rounds); });
      timed(2, [&] { Launcher("nothing").grid(200).block(threads).threads(1)(); });
    }
    std::printf("%4u threads: barrier %.1f ns, shuffle %.1f ns per thread; empty block %.1f us\n",
                threads, best[0] / rounds / threads, best[1] / rounds / threads,
                best[2] / 200 / 1000);
  }
  return 0;
}
