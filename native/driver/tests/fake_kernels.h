// Kernels that make the device's behaviour visible: one can be held back, one fails.
#ifndef REMASK_DRIVER_TESTS_FAKE_KERNELS_H_
#define REMASK_DRIVER_TESTS_FAKE_KERNELS_H_

// While the gate is closed, the kernel `wait_gate` does not return.
void close_gate();
void open_gate();
// Waits until a `wait_gate` kernel has begun to wait since the gate was closed.
void await_gate_reached();

struct Pair {  // passed by value
  float scale;
  float offset;
  int unused[2];
};

#endif  // REMASK_DRIVER_TESTS_FAKE_KERNELS_H_
