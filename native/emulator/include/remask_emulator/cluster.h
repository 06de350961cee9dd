// Clusters of blocks.
#pragma once

#include "thread.h"

namespace remask::emulator {

unsigned cluster_rank(const Site& site);
void cluster_arrive(const Site& site);
void cluster_wait(const Site& site);
// The address of the same place in the shared memory of another block of the cluster.
unsigned map_to_rank(unsigned address, unsigned rank, const Site& site);

}  // namespace remask::emulator
