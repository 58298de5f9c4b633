// Which kernels this processor and operating system can run.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace sfumato {

// Names of the instruction sets that can run here, best first; "plain" is always the last.
std::vector<std::string> usable_sets();

// The table of `name` ("amx-emulated" too, for tests); "" means SFUMATO_ISA from the environment if set, else the best. Throws
// std::invalid_argument naming what can run here.
const Kernels& pick_kernels(const std::string& name);

// FLOP a second of fused multiply-adds in float32 by one core at this moment: the best of some short slices, so that
// other programs count less.
double peak(const Kernels&);

}  // namespace sfumato
