// The Walsh-Hadamard transform against its definition in double precision, at every place in memory, by several threads.
#include "../hadamard.h"

#include <cmath>
#include <random>

#include "../cpu.h"
#include "check.h"

namespace {

// Plain: a stage after the other, over the whole row.
std::vector<double> defined(const float* row, size_t n) {
  std::vector<double> x(row, row + n);
  for (size_t s = 1; s < n; s *= 2)
    for (size_t i = 0; i < n; i++)
      if (!(i & s)) {
        const double a = x[i], b = x[i + s];
        x[i] = a + b, x[i + s] = a - b;
      }
  return x;
}

void rows_of(const sfumato::Kernels& kernels, size_t rows, size_t n, size_t offset) {
  Settings s;
  s.isa = kernels.name, s.hidden = {static_cast<int>(n)};
  std::mt19937 random(static_cast<unsigned>(n + offset));
  std::normal_distribution<float> normal;
  Floats from(rows * n + offset + 1, 7.f), into = from, alone = from, inside;
  for (size_t i = 0; i < rows * n; i++) from[offset + i] = normal(random);
  inside = from;
  sfumato::hadamard(kernels, from.data() + offset, into.data() + offset, rows, n, 0.5f, 3);
  sfumato::hadamard(kernels, from.data() + offset, alone.data() + offset, rows, n, 0.5f, 1);
  sfumato::hadamard(kernels, inside.data() + offset, inside.data() + offset, rows, n, 0.5f, 2);
  const bool same = std::equal(into.begin() + static_cast<long>(offset), into.end() - 1,
                               inside.begin() + static_cast<long>(offset));
  expect(into == alone && same, "a transform is the same in place and by any number of threads", s, 0);
  expect(into.back() == 7 && (!offset || into[offset - 1] == 7), "a transform writes its rows alone", s, into.back());
  double worst = 0;
  for (size_t r = 0; r < rows; r++) {
    const std::vector<double> wanted = defined(from.data() + offset + r * n, n);
    for (size_t i = 0; i < n; i++) worst = std::max(worst, std::abs(into[offset + r * n + i] - 0.5 * wanted[i]));
  }
  // sums of n numbers of size 1, of size sqrt(n) / 2, rounded log2 n times; the largest of up to 10^6 errors
  const double bound = 6e-8 * 0.5 * std::sqrt(static_cast<double>(n)) * (2 + std::log2(static_cast<double>(n))) * 4;
  expect(worst < bound, "a transform is that of the definition", s, worst);
}

}  // namespace

void transforms(const std::string& isa) {
  const sfumato::Kernels& kernels = sfumato::pick_kernels(isa);
  for (size_t n = 1; n <= 1 << 13; n *= 2)
    for (size_t rows : {1, 2, 7, 33}) rows_of(kernels, rows, n, rows % 4);
  rows_of(kernels, 300000, 2, 1);
  rows_of(kernels, 5, 1 << 17, 3);
  sfumato::hadamard(kernels, nullptr, nullptr, 0, 8, 1.f, 2);
}
