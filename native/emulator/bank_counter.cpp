#include "bank_counter.h"

#include <algorithm>
#include <cstdio>

#include "access_check.h"

namespace remask::emulator {

void BankCounter::reset() {
  streams_.clear();
  conflicts_.clear();
  accesses_ = 0;
}

// How often the banks must be read or written for these lanes.
unsigned BankCounter::passes(const std::uintptr_t* addresses, std::uint32_t lanes,
                             unsigned bytes) const {
  std::uintptr_t words[128];
  unsigned count = 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const std::uintptr_t address = addresses[__builtin_ctz(lanes)];
    for (std::uintptr_t word = address / 4; word <= (address + bytes - 1) / 4; word++) {
      if (count < 128) words[count++] = word;
    }
  }
  std::sort(words, words + count);
  count = unsigned(std::unique(words, words + count) - words);
  unsigned in_bank[32] = {};
  unsigned most = 0;
  for (unsigned i = 0; i < count; i++) most = std::max(most, ++in_bank[words[i] % 32]);
  return most;
}

void BankCounter::count(const Place& place, const Access& access, unsigned bytes) {
  // 128 bytes at a time: whole warps of 4 bytes, half warps of 8, quarters of 16.
  const unsigned lanes_at_once = bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8;
  for (unsigned begin = 0; begin < 32; begin += lanes_at_once) {
    const std::uint32_t part = (lanes_at_once == 32 ? ~0u : (1u << lanes_at_once) - 1) << begin;
    if ((access.lanes & part) == 0) continue;
    accesses_++;
    const unsigned more = passes(access.addresses, access.lanes & part, bytes) - 1;
    if (more > 0) conflicts_[place] += more;
  }
}

void BankCounter::rows(char* const* addresses, const Site& site) {
  Access access{{}, 0xff};
  for (int i = 0; i < 8; i++) {
    access.addresses[i] = reinterpret_cast<std::uintptr_t>(addresses[i]);
  }
  count(Place{nullptr, site.file, site.line}, access, 16);
}

void BankCounter::access(const Thread* self, std::uintptr_t address, std::size_t bytes,
                         const void* return_address, const Site& site) {
  if (bytes > 16) return;  // g++ made one access of several
  const Place place{return_address, site.file, site.line};
  Stream& stream = streams_[std::make_tuple(place, self->rank / 32)];
  stream.bytes = unsigned(bytes);
  const unsigned lane = self->rank % 32;
  const unsigned number = stream.made[lane]++ - stream.first;
  while (stream.accesses.size() <= number) stream.accesses.push_back(Access{{}, 0});
  stream.accesses[number].addresses[lane] = address;
  stream.accesses[number].lanes |= 1u << lane;
  while (!stream.accesses.empty() && stream.accesses.front().lanes == ~0u) {
    count(place, stream.accesses.front(), stream.bytes);
    stream.accesses.pop_front();
    stream.first++;
  }
}

void BankCounter::finish(RemaskBanks* total) {
  for (const auto& [key, stream] : streams_) {
    for (const Access& access : stream.accesses) count(std::get<0>(key), access, stream.bytes);
  }
  total->accesses += accesses_;
  for (const auto& [place, conflicts] : conflicts_) {
    total->conflicts += conflicts;
    if (conflicts <= total->worst_conflicts) continue;
    total->worst_conflicts = conflicts;
    const std::string where = place.return_address != nullptr
                                  ? describe_code(place.return_address)
                                  : std::string(place.file) + ":" + std::to_string(place.line);
    std::snprintf(total->worst, sizeof(total->worst), "%s", where.c_str());
  }
  reset();
}

}  // namespace remask::emulator
