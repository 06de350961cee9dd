// Stands for what nvcc gives every .cu before its first line; CMake forces its inclusion. Nothing
// of the toolkit is used: these headers are the emulator's whole notion of CUDA.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remask_emulator/arithmetic.h"
#include "remask_emulator/atomics.h"
#include "remask_emulator/language.h"
#include "remask_emulator/memory.h"
#include "remask_emulator/vector_types.h"
#include "remask_emulator/warp.h"
