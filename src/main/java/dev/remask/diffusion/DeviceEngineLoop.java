package dev.remask.diffusion;

import java.util.List;

/// The device loop as an [Engine] sees it.
record DeviceEngineLoop(DeviceLoop loop) implements EngineLoop {
  @Override
  public void requireFits(SlotRequest request) {
    loop.requireFits(request);
  }

  @Override
  public Slot admit(SlotRequest request) {
    return loop.admit(request);
  }

  @Override
  public void run(List<Slot> members, Runnable onPoll) {
    loop.run(members, onPoll);
  }

  @Override
  public void continuePass(Slot slot) {
    loop.continuePass(slot);
  }

  @Override
  public void extend(Slot slot) {
    loop.extend(slot);
  }

  @Override
  public int[] canvas(Slot slot) {
    return loop.canvas(slot);
  }

  @Override
  public int logged(Slot slot) {
    return loop.log(slot).size();
  }

  @Override
  public Commit commit(Slot slot, int index) {
    return loop.log(slot).get(index);
  }

  @Override
  public void release(Slot slot) {
    loop.release(slot);
  }

  @Override
  public void stop() {
    loop.stopWord().set();
  }

  @Override
  public void clearStop() {
    loop.stopWord().clear();
  }

  @Override
  public long plannedBytes() {
    return loop.plannedBytes();
  }

  @Override
  public void close() {
    loop.close();
  }
}
