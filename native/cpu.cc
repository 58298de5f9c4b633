#include "cpu.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

#if SFUMATO_X86 && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace sfumato {
namespace {

#if SFUMATO_X86
// Whether the processor has tiles for bfloat16, the system saves their registers, and lets this process use them:
// since Linux 5.16 that has to be asked for, once a process, because each thread's signal frame grows by 8 KB.
bool may_use_tiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kTiles = 1u << 24, kBfloat16 = 1u << 22;
  if ((d & (kTiles | kBfloat16)) != (kTiles | kBfloat16)) return false;
  unsigned low = 0, high = 0;  // XCR0: what the system saves
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kTileState = 3u << 17;
  if ((low & kTileState) != kTileState) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, of <asm/prctl.h> since 5.16
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

std::vector<const Kernels*> find_usable() {
  std::vector<const Kernels*> found;
#if SFUMATO_X86
  __builtin_cpu_init();  // also asks the operating system (XGETBV) whether it saves the registers
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  const bool bfloat16 = v4 && __builtin_cpu_supports("avx512bf16");
  if (bfloat16 && may_use_tiles()) found.push_back(&kAmx);
  if (bfloat16) found.push_back(&kAvx512Bf16);
  if (v4) found.push_back(&kAvx512);
  if (v3) found.push_back(&kAvx2);
#endif
  found.push_back(&kPlain);
  return found;
}

const std::vector<const Kernels*>& usable() {
  static const std::vector<const Kernels*> found = find_usable();
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
  if (wanted == kAmxEmulated.name) return kAmxEmulated;
  throw std::invalid_argument("instruction set '" + wanted + "' cannot run here; there are " + known);
}

double peak(const Kernels& kernels) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int slice = 0; slice < 40; slice++) {  // of 0.1 ms or less
    const auto start = Clock::now();
    const double done = kernels.burn(1 << 14);
    best = std::max(best, done / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace sfumato
