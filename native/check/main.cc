// A program for the sanitizers (address, undefined behaviour, threads), for other compilers and for machines without
// Python: transforms rows and trains small nets of every kind on every instruction set that the processor has, and holds
// them against definitions, finite differences and one another. `make sanitize` builds and runs it; exits with 1 if a
// check fails.
#include "check.h"

#include <cstdio>

#include "../cpu.h"

void expect(bool fine, const char* what, const Settings& s, double value) {
  if (fine) return;
  std::printf("FAILED: %s: %g (%s, %d threads, activation %d, method %d, precision %d, widths", what, value,
              s.isa.c_str(), s.threads, static_cast<int>(s.activation), static_cast<int>(s.method),
              static_cast<int>(s.precision));
  for (int width : s.hidden) std::printf(" %d", width);
  std::printf(")\n");
  failures++;
}

int main() {
  int count = 0;
  survival();
  std::vector<std::string> sets = sfumato::usable_sets();
  sets.emplace_back("amx-emulated");
  for (const std::string& isa : sets) {
    expect(sfumato::peak(sfumato::pick_kernels(isa)) > 1e7, "a core's peak is measured", Settings(), 0);
    turns(isa);
    shortcuts(isa);
    transforms(isa);
    count += nets(isa);
    std::printf("%s: fine so far\n", isa.c_str());
  }
  std::printf("%d nets checked, %d failures\n", count, failures);
  return failures != 0;
}
