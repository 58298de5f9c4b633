#include "fastfood.h"

#include <algorithm>
#include <cmath>

#include "memory.h"
#include "pool.h"

namespace sfumato {
namespace {

// Rows are shared out in so many parts whatever the number of threads, as each part has sums of its own.
constexpr size_t kParts = 16;
// A thread is started for this many numbers between transforms, or more: it takes about as long as their transforms.
constexpr size_t kShare = 1 << 16;

FastfoodBlock block_of(const Fastfood& layer, size_t index) {
  const size_t at = index * static_cast<size_t>(layer.n);
  return {layer.inputs,
          std::min(layer.n, layer.units - static_cast<int>(at)),
          layer.n,
          static_cast<float>(1 / std::sqrt(static_cast<double>(layer.n))),
          layer.scales + at,
          layer.gaussians + at,
          layer.signs + at,
          layer.order + at};
}

// job(part, first row, end, scratch of four rows of n) for each part.
template <class Job>
void in_parts(const Fastfood& layer, size_t rows, int threads, const Job& job) {
  if (!rows) return;
  const size_t parts = std::min(rows, kParts), n = static_cast<size_t>(layer.n);
  const size_t most = std::min(parts, rows * layer.blocks() * n / kShare);
  Pool pool(static_cast<int>(std::clamp<size_t>(most, 1, static_cast<size_t>(threads))));
  const size_t room = 4 * n + kLine;  // a line apart: no two threads write to one
  const Buffer scratch = allocate(room * static_cast<size_t>(pool.size()));
  pool.run([&](int t) {
    for (size_t part = static_cast<size_t>(t); part < parts; part += static_cast<size_t>(pool.size()))
      job(part, rows * part / parts, rows * (part + 1) / parts, scratch.get() + room * static_cast<size_t>(t));
  });
}

}  // namespace

void fastfood(const Kernels& kernels, const Fastfood& layer, const float* x, size_t rows, float* y, int threads) {
  in_parts(layer, rows, threads, [&](size_t, size_t low, size_t high, float* scratch) {
    for (size_t row = low; row < high; row++)
      for (size_t b = 0; b < layer.blocks(); b++)
        kernels.fastfood_forward(block_of(layer, b), x + row * layer.inputs, scratch,
                                 y + row * layer.units + b * layer.n);
  });
}

void fastfood_gradient(const Kernels& kernels, const Fastfood& layer, const float* x, const float* dy, size_t rows,
                       float* dx, float* sums, int threads) {
  const size_t each = 3 * static_cast<size_t>(layer.n), all = each * layer.blocks();
  const Buffer partial = allocate(all * kParts);
  std::fill(dx, dx + rows * layer.inputs, 0.f);
  in_parts(layer, rows, threads, [&](size_t part, size_t low, size_t high, float* scratch) {
    for (size_t row = low; row < high; row++)
      for (size_t b = 0; b < layer.blocks(); b++)
        kernels.fastfood_backward(block_of(layer, b), x + row * layer.inputs, dy + row * layer.units + b * layer.n,
                                  scratch, dx + row * layer.inputs, partial.get() + all * part + each * b);
  });
  std::copy(partial.get(), partial.get() + all, sums);
  for (size_t part = 1; part < kParts; part++)
    for (size_t i = 0; i < all; i++) sums[i] += partial[all * part + i];
}

}  // namespace sfumato
