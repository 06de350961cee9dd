// Counts bank conflicts: 32 banks of 4 bytes, a warp's access is done in as many passes as the
// fullest bank has different words. ldmatrix and stmatrix are exact. Of plain accesses and cp.async
// the n-th executions of a line by the lanes of a warp are taken for one access, which is right as
// long as the lanes run the same path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>

#include "kernel_table.h"
#include "remask_emulator/thread.h"

namespace remask::emulator {

class BankCounter {
 public:
  void reset();
  // A pass of ldmatrix or stmatrix: 8 rows of 16 bytes.
  void rows(char* const* addresses, const Site& site);
  // One lane's access, made by the code before return_address or, if that is null, at the site.
  void access(const Thread* self, std::uintptr_t address, std::size_t bytes,
              const void* return_address, const Site& site);
  // Nothing more will come: counts what is still incomplete and adds all to *total.
  void finish(RemaskBanks* total);

 private:
  struct Place {
    const void* return_address;
    const char* file;
    int line;
    bool operator<(const Place& other) const {
      return std::tie(return_address, file, line) <
             std::tie(other.return_address, other.file, other.line);
    }
  };
  struct Access {
    std::uintptr_t addresses[32];
    std::uint32_t lanes;
  };
  // The accesses of a warp at a place, from the first that not all lanes have made.
  struct Stream {
    unsigned bytes = 0;
    unsigned first = 0;
    unsigned made[32] = {};
    std::deque<Access> accesses;
  };

  void count(const Place& place, const Access& access, unsigned bytes);
  unsigned passes(const std::uintptr_t* addresses, std::uint32_t lanes, unsigned bytes) const;

  std::map<std::tuple<Place, unsigned>, Stream> streams_;  // by warp
  std::map<Place, unsigned long long> conflicts_;
  unsigned long long accesses_ = 0;
};

}  // namespace remask::emulator
