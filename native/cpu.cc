#include "cpu.h"

#include <cstdlib>
#include <stdexcept>

namespace sfumato {
namespace {

std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> found;
#if SFUMATO_X86
  __builtin_cpu_init();  // also asks the operating system (XGETBV) whether it saves the registers
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (v4 && __builtin_cpu_supports("avx512bf16")) found.push_back(&kAvx512Bf16);
  if (v4) found.push_back(&kAvx512);
  if (v3) found.push_back(&kAvx2);
#endif
  found.push_back(&kPlain);
  return found;
}

}  // namespace

std::vector<std::string> usable_sets() {
  std::vector<std::string> names;
  for (const Kernels* kernels : usable()) names.emplace_back(kernels->name);
  return names;
}

const Kernels& pick_kernels(const std::string& name) {
  const char* forced = std::getenv("SFUMATO_ISA");
  const std::string wanted = !name.empty() ? name : forced ? forced : "";
  std::string known;
  for (const Kernels* kernels : usable()) {
    if (wanted.empty() || wanted == kernels->name) return *kernels;
    known += (known.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("instruction set '" + wanted + "' cannot run here; there are " + known);
}

}  // namespace sfumato
