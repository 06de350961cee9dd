#include "fiber.h"

#include <sys/mman.h>

#include "block.h"

#if defined(__x86_64__)
asm(R"(
  .text
  .balign 16
  .globl remask_fiber_switch
  .hidden remask_fiber_switch
  .type remask_fiber_switch, @function
remask_fiber_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
  .size remask_fiber_switch, .-remask_fiber_switch
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .balign 16
  .globl remask_fiber_switch
  .hidden remask_fiber_switch
  .type remask_fiber_switch, %function
remask_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size remask_fiber_switch, .-remask_fiber_switch
)");
#endif

namespace remask::emulator {
namespace {

constexpr std::size_t kGuardBytes = 4096;
constexpr std::size_t kAllSlotsBytes = kMostThreads * kStackSlotBytes;

}  // namespace

StackSlots::~StackSlots() {
  if (base_ != nullptr) munmap(base_, kAllSlotsBytes);
}

bool StackSlots::reserve(unsigned count) {
  if (base_ == nullptr) {
    // Address space only; a slot's pages get memory when they are first touched.
    void* mapped = mmap(nullptr, kAllSlotsBytes + kStackSlotBytes, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    char* begin = static_cast<char*>(mapped);
    std::size_t head = -reinterpret_cast<std::uintptr_t>(begin) % kStackSlotBytes;
    if (head > 0) munmap(begin, head);
    if (head < kStackSlotBytes) munmap(begin + head + kAllSlotsBytes, kStackSlotBytes - head);
    base_ = begin + head;
  }
  for (; usable_ < count; usable_++) {
    char* slot = base_ + usable_ * kStackSlotBytes;
    if (mprotect(slot + kGuardBytes, kStackSlotBytes - kGuardBytes, PROT_READ | PROT_WRITE) != 0) {
      return false;
    }
  }
  return true;
}

void prepare_fiber(Thread* thread, void (*entry)()) {
  auto top = reinterpret_cast<std::uintptr_t>(thread) & ~std::uintptr_t(15);
  auto* words = reinterpret_cast<std::uintptr_t*>(top);
#if defined(__x86_64__)
  // From the top: no caller (ends a debugger's backtrace), entry, six registers. `ret` into entry
  // leaves the stack as a call would have.
  *--words = 0;
  *--words = reinterpret_cast<std::uintptr_t>(entry);
  for (int i = 0; i < 6; i++) *--words = 0;
#else
  for (int i = 0; i < 20; i++) *--words = 0;
  words[11] = reinterpret_cast<std::uintptr_t>(entry);  // x30
#endif
  thread->stack_pointer = words;
}

}  // namespace remask::emulator
