// Writes KERNELS.md: what ptxas made of each kernel, and the floors of what the kernels compute at
// LLaDA-8B shapes.
//   kernel_table <kernels.txt of the images> <budgets.txt> <nvcc's version> <to> [<committed>]
// Fails (1) on a kernel without a line in budgets.txt, on a line whose kernel no longer exists, on
// work it does not know, on fewer CTAs per SM than declared, and where <committed> differs.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "kernel_work.h"

namespace {

using namespace remask::kernel_table;

// Limits of an SM: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
// All have 65,536 registers in four partitions.
struct Architecture {
  const char* name;
  int threads;
  int ctas;
  int shared_bytes;
};
constexpr Architecture kArchitectures[] = {
    {"sm_80", 2048, 32, 164 * 1024},  {"sm_86", 1536, 16, 100 * 1024},
    {"sm_89", 1536, 24, 100 * 1024},  {"sm_90a", 2048, 32, 228 * 1024},
    {"sm_100", 2048, 32, 228 * 1024}, {"sm_120", 1536, 24, 100 * 1024}};

// Of NVIDIA's data sheets: bytes/s, and FLOP/s of dense bf16 with f32 sums and of f32 without
// tensor cores.
struct Card {
  const char* name;
  double bandwidth;
  double tensor;
  double f32;
  const char* source;
};
constexpr Card kCards[] = {
    {"A100 SXM 80 GB", 2.039e12, 312e12, 19.5e12, "NVIDIA A100 Tensor Core GPU data sheet"},
    {"RTX 4090", 1.008e12, 165.2e12, 82.6e12, "NVIDIA Ada GPU architecture whitepaper, appendix A"},
    {"H100 SXM 80 GB", 3.35e12, 989.4e12, 66.9e12, "NVIDIA H100 GPU architecture whitepaper"}};

struct Declared {
  std::string kernel, architectures;
  int registers, ctas, threads, dynamic;
  std::string stages, work, why;
  bool used = false;

  bool is_for(const std::string& name, const std::string& architecture) const {
    return kernel == name &&
           (architectures == "*" ||
            ("," + architectures + ",").find("," + architecture + ",") != std::string::npos);
  }
};

std::ostringstream page;

struct Compiled {
  int registers;
  int shared;
};

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "kernel_table: " << why << "\n";
  std::exit(1);
}

int up(int x, int unit) { return (x + unit - 1) / unit * unit; }

// NVIDIA's occupancy calculator: registers are given to warps in units of 256 and to partitions
// evenly, shared memory in units of 128 bytes with 1 KB more for each CTA.
int ctas_per_sm(const Architecture& sm, const Compiled& compiled, const Declared& launch) {
  constexpr int kPartitions = 4;
  const int warps = up((launch.threads + 31) / 32, kPartitions);
  const int warp_registers = up(compiled.registers * 32, 256);
  const int by_registers = 65536 / kPartitions / warp_registers * kPartitions / warps;
  const int by_threads = sm.threads / (warps * 32);
  const int by_shared = sm.shared_bytes / (up(compiled.shared + launch.dynamic, 128) + 1024);
  return std::min({by_registers, by_threads, by_shared, sm.ctas});
}

std::ifstream open(const char* path) {
  std::ifstream file(path);
  if (!file) fail(std::string("cannot read ") + path);
  return file;
}

std::vector<Declared> read_budgets(const char* path) {
  std::vector<Declared> all;
  std::ifstream file = open(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    Declared d;
    std::istringstream words(line);
    if (!(words >> d.kernel >> d.architectures >> d.registers >> d.ctas >> d.threads >> d.dynamic >>
          d.stages >> d.work >> std::ws) ||
        !std::getline(words, d.why) || d.why.empty()) {
      fail(std::string(path) + ": not of the form described at its top: " + line);
    }
    all.push_back(d);
  }
  return all;
}

using Table = std::map<std::string, std::map<std::string, Compiled>>;

Table read_kernels(const char* path) {
  Table table;
  std::ifstream file = open(path);
  for (std::string line; std::getline(file, line);) {
    char kernel[128], architecture[16];
    Compiled c;
    if (std::sscanf(line.c_str(), "%127s %15s registers=%d shared_bytes=%d", kernel, architecture,
                    &c.registers, &c.shared) != 4) {
      fail(std::string(path) + ": not a kernel: " + line);
    }
    table[kernel][architecture] = c;
  }
  if (table.empty()) fail(std::string(path) + " names no kernel");
  return table;
}

std::pair<std::string, double> work_and_bytes(const Declared& d) {
  const size_t slash = d.work.find('/');
  const std::string name = d.work.substr(0, slash);
  const std::string type = slash == std::string::npos ? "" : d.work.substr(slash + 1);
  if (kWork.count(name) == 0 || (type != "bf16" && type != "f32")) {
    fail(d.kernel + ": unknown work " + d.work);
  }
  return {name, type == "bf16" ? 2.0 : 4.0};
}

// Three digits are more than a data sheet is good for.
std::string three_digits(double x) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : "%.2f", x);
  return buffer;
}

void write_resources(const Table& table, std::vector<Declared>& budgets) {
  page << "| kernel | threads | stages | static + dynamic smem, bytes | budget |";
  for (const Architecture& sm : kArchitectures) page << " " << sm.name << " |";
  page << " computes | the budget's reason |\n|---|---|---|---|---|";
  for (size_t i = 0; i < std::size(kArchitectures); i++) page << "---|";
  page << "---|---|\n";
  for (const auto& [kernel, compiled] : table) {
    // A row per line of budgets.txt that counts for this kernel.
    std::vector<Declared*> rows;
    std::map<std::string, Declared*> of;
    for (const auto& [architecture, ignored] : compiled) {
      auto found = std::find_if(budgets.begin(), budgets.end(),
                                [&](const Declared& d) { return d.is_for(kernel, architecture); });
      if (found == budgets.end()) {
        fail(kernel + " " + architecture + " has no line in budgets.txt; add one");
      }
      found->used = true;
      of[architecture] = &*found;
      if (std::find(rows.begin(), rows.end(), &*found) == rows.end()) rows.push_back(&*found);
    }
    for (const Declared* row : rows) {
      int shared = 0;
      for (const auto& [architecture, c] : compiled) {
        if (of[architecture] == row) shared = std::max(shared, c.shared);
      }
      page << "| `" << kernel << "` | " << row->threads << " | " << row->stages << " | " << shared
           << " + " << row->dynamic << " | " << row->registers << " |";
      for (const Architecture& sm : kArchitectures) {
        const auto c = compiled.find(sm.name);
        if (c == compiled.end() || of[sm.name] != row) {
          page << " – |";
          continue;
        }
        const int ctas = ctas_per_sm(sm, c->second, *row);
        if (ctas < row->ctas) {
          fail(kernel + " " + sm.name + ": " + std::to_string(ctas) +
               " CTAs per SM, declared are " + std::to_string(row->ctas));
        }
        page << " " << c->second.registers << " · " << ctas << " |";
      }
      page << " " << row->work << " | " << row->why << " |\n";
    }
  }
}

void write_work(const std::string& name, double x) {
  const Work& work = kWork.at(name);
  page << "\n### " << name << "/" << (x == 2 ? "bf16" : "f32") << "\n\n"
       << work.formula << ".\n\n| rows | shape | per pass | GFLOP | MB |";
  for (const Card& card : kCards) page << " " << card.name << ", µs |";
  page << "\n|---|---|---|---|---|---|---|---|\n";
  for (int rows : work.rows) {
    for (const Cost& cost : work.costs(rows, x)) {
      page << "| " << rows << " | " << cost.shape << " | " << cost.per_pass << " | "
           << three_digits(cost.flops / 1e9) << " | " << three_digits(cost.bytes / 1e6) << " |";
      for (const Card& card : kCards) {
        const double peak = work.tensor && x == 2 ? card.tensor : card.f32;
        const double compute = cost.flops / peak * 1e6;
        const double memory = cost.bytes / card.bandwidth * 1e6;
        page << " " << three_digits(std::max(compute, memory)) << (compute > memory ? " c" : " m")
             << " |";
      }
      page << "\n";
    }
  }
}

void compare(const std::string& wanted, const char* committed) {
  std::ifstream file = open(committed);
  std::istringstream lines(wanted);
  for (int number = 1;; number++) {
    std::string is, should;
    const bool more = !!std::getline(file, is);
    if (!std::getline(lines, should) && !more) return;
    if (is != should) {
      fail(std::string(committed) + ":" + std::to_string(number) + " is out of date: \"" + is +
           "\" should be \"" + should +
           "\"; cmake --build <build> --target update-kernel-table writes it anew");
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5 && count != 6) {
    fail("usage: kernel_table <kernels.txt> <budgets.txt> <nvcc's version> <to> [<committed>]");
  }
  const Table table = read_kernels(arguments[1]);
  std::vector<Declared> budgets = read_budgets(arguments[2]);
  page << "# Kernels\n\n"
       << "Generated by kernel_table.cpp from what ptxas of nvcc " << arguments[3]
       << " reports and from budgets.txt;\nthe build fails where it is out of date "
          "(`cmake --build <build> --target update-kernel-table`).\n\n"
       << "## Resources\n\nAn architecture's column: registers a thread · CTAs per SM, by "
          "registers, threads and shared memory.\nNo kernel spills or has a stack frame: the build "
          "fails otherwise. A budget is the most registers\nthat a kernel may use.\n\n";
  write_resources(table, budgets);
  for (const Declared& d : budgets) {
    if (!d.used) fail(d.kernel + " " + d.architectures + " is in budgets.txt, but not compiled");
  }
  page
      << "\n## Floors\n\nOf one launch at LLaDA-8B shapes (width 4096, 32 heads of 128, 32 layers, "
         "ffn 12288, vocabulary\n126,464), in µs: max(FLOP / peak, bytes / bandwidth), marked c "
         "where compute decides and m where\nmemory does. Each operand is read from memory once "
         "and each result written once; what stays in\nL2 between launches may beat an m. Computed "
         "on paper, nothing here was measured. Rows are tokens:\nthe canvas, or those of a few "
         "blocks. x is the bytes of an element; per pass: launches of a\nforward pass (a denoising "
         "step for what follows the logits).\n\n"
         "| card | bandwidth, TB/s | bf16 dense, TFLOP/s | f32, TFLOP/s | source |\n"
         "|---|---|---|---|---|\n";
  for (const Card& card : kCards) {
    page << "| " << card.name << " | " << three_digits(card.bandwidth / 1e12) << " | "
         << three_digits(card.tensor / 1e12) << " | " << three_digits(card.f32 / 1e12) << " | "
         << card.source << " |\n";
  }
  std::map<std::pair<std::string, double>, bool> written;
  for (const Declared& d : budgets) {
    const auto work = work_and_bytes(d);
    if (!written[work]) write_work(work.first, work.second);
    written[work] = true;
  }
  std::ofstream(arguments[4]) << page.str();
  if (count == 6) compare(page.str(), arguments[5]);
  return 0;
}
