// The Walsh-Hadamard transform against its definition in double precision, at every place in memory, by several threads.
#include "../hadamard.h"

#include <cmath>
#include <numeric>
#include <random>

#include "../cpu.h"
#include "../fastfood.h"
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

// What a fastfood layer puts out is linear in its inputs and in each diagonal, so that each has the same product with its
// gradient, which is that of outputs and errors.
void fried(const sfumato::Kernels& kernels, int inputs, int units, int n, size_t rows) {
  Settings s;
  s.isa = kernels.name, s.inputs = inputs, s.outputs = units, s.hidden = {n};
  std::mt19937 random(static_cast<unsigned>(units));
  std::normal_distribution<float> normal;
  const size_t all = (units + size_t(n) - 1) / n * n;
  Floats x(rows * inputs), errors(rows * units), diagonals[3] = {Floats(all), Floats(all), Floats(all)};
  for (Floats* array : {&x, &errors, &diagonals[0], &diagonals[1], &diagonals[2]})
    for (float& value : *array) value = normal(random);
  std::vector<int32_t> order(all);
  for (size_t low = 0; low < all; low += n) {
    std::iota(order.begin() + static_cast<long>(low), order.begin() + static_cast<long>(low) + n, 0);
    std::shuffle(order.begin() + static_cast<long>(low), order.begin() + static_cast<long>(low) + n, random);
  }
  const sfumato::Fastfood layer{inputs, units, n, diagonals[0].data(), diagonals[1].data(), diagonals[2].data(), order.data()};
  Floats found[2];
  for (int threads : {1, 3}) {
    Floats y(errors.size()), dx(x.size()), sums(3 * all);
    sfumato::fastfood(kernels, layer, x.data(), rows, y.data(), threads);
    sfumato::fastfood_gradient(kernels, layer, x.data(), errors.data(), rows, dx.data(), sums.data(), threads);
    const double product = std::inner_product(y.begin(), y.end(), errors.begin(), 0.0);
    double size = 0, products[4] = {std::inner_product(x.begin(), x.end(), dx.begin(), 0.0), 0, 0, 0};
    for (size_t i = 0; i < y.size(); i++) size += static_cast<double>(y[i] * errors[i]) * y[i] * errors[i];
    for (int d = 0; d < 3; d++)
      for (size_t i = 0; i < all; i++) products[d + 1] += sums[(3 * (i / n) + d) * n + i % n] * diagonals[d][i];
    // sums of as many terms as outputs, each rounded some 30 times
    for (double one : products)
      expect(std::abs(one - product) < 1e-4 * std::sqrt(size), "a fastfood layer is linear in what it holds", s, one - product);
    found[threads > 1] = y;
    for (const Floats& array : {dx, sums}) found[threads > 1].insert(found[threads > 1].end(), array.begin(), array.end());
  }
  expect(found[0] == found[1], "a fastfood layer is the same by any number of threads", s, 0);
}

}  // namespace

void transforms(const std::string& isa) {
  const sfumato::Kernels& kernels = sfumato::pick_kernels(isa);
  for (size_t n = 1; n <= 1 << 13; n *= 2)
    for (size_t rows : {1, 2, 7, 33}) rows_of(kernels, rows, n, rows % 4);
  rows_of(kernels, 300000, 2, 1);
  rows_of(kernels, 5, 1 << 17, 3);
  sfumato::hadamard(kernels, nullptr, nullptr, 0, 8, 1.f, 2);
  fried(kernels, 1, 3, 1, 20);
  fried(kernels, 5, 20, 8, 3);
  fried(kernels, 50, 61, 64, 40);
  fried(kernels, 500, 700, 512, 301);
}
