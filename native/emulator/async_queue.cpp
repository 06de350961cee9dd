#include "async_queue.h"

#include <cstdlib>
#include <cstring>

namespace remask::emulator {

Adversary adversary_of_environment() {
  const char* text = std::getenv("REMASK_EMULATOR_ADVERSARY");
  if (text == nullptr) return Adversary::kRandom;
  if (std::strcmp(text, "earliest") == 0) return Adversary::kEarliest;
  if (std::strcmp(text, "latest") == 0) return Adversary::kLatest;
  if (std::strcmp(text, "off") == 0) return Adversary::kOff;
  return Adversary::kRandom;
}

void AsyncQueue::reset(Adversary adversary, Random* random) {
  for (AsyncOperation* operation : soon_) operation->position_ = AsyncOperation::kNotQueued;
  for (AsyncOperation* operation : late_) operation->position_ = AsyncOperation::kNotQueued;
  soon_.clear();
  late_.clear();
  adversary_ = adversary;
  random_ = random;
}

void AsyncQueue::start(AsyncOperation& operation) {
  unsigned draw = 0;  // 0: at once, 1: soon, 2 and 3: as late as possible
  if (adversary_ == Adversary::kRandom) draw = random_->next() >> 16 & 3;
  if (adversary_ == Adversary::kLatest) draw = 2;
  if (draw == 0 && operation.may_complete()) {
    operation.complete();
    return;
  }
  operation.late_ = draw >= 2;
  std::vector<AsyncOperation*>& operations = operation.late_ ? late_ : soon_;
  operation.position_ = unsigned(operations.size());
  operations.push_back(&operation);
}

void AsyncQueue::remove(AsyncOperation& operation) {
  if (!operation.is_queued()) return;
  std::vector<AsyncOperation*>& operations = operation.late_ ? late_ : soon_;
  operations[operation.position_] = operations.back();
  operations[operation.position_]->position_ = operation.position_;
  operations.pop_back();
  operation.position_ = AsyncOperation::kNotQueued;
}

void AsyncQueue::finish(AsyncOperation& operation) {
  if (!operation.is_queued()) return;
  remove(operation);
  operation.complete();
}

bool AsyncQueue::complete_one_of(std::vector<AsyncOperation*>& operations) {
  if (operations.empty()) return false;
  const std::size_t count = operations.size();
  const std::size_t first =
      adversary_ == Adversary::kRandom ? random_->next() % unsigned(count) : 0;
  for (std::size_t i = 0; i < count; i++) {
    AsyncOperation& operation = *operations[(first + i) % count];
    if (!operation.may_complete()) continue;
    finish(operation);
    return true;
  }
  return false;
}

bool AsyncQueue::advance() { return complete_one_of(soon_) || complete_one_of(late_); }

void AsyncQueue::turn_slowly() {
  const std::uint32_t draw = random_->next() >> 16;
  if (draw % 64 == 0 || adversary_ == Adversary::kEarliest || adversary_ == Adversary::kOff) {
    complete_one_of(soon_);
  }
  // Nothing takes for ever, even if a thread that polls keeps the block busy.
  if (draw % 16384 == 1) complete_one_of(late_);
}

}  // namespace remask::emulator
