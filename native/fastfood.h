// Fastfood layers: blocks S H G P H B, one below the other, in place of a dense matrix.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels.h"

namespace sfumato {

// Blocks of n = 2^k >= inputs rows, of which the last gives what is left of `units`. H is divided by sqrt(n); S, G, B
// are diagonals and P a permutation of each block, (blocks, n): P takes number order[i] to place i.
struct Fastfood {
  int inputs, units, n;
  const float *scales, *gaussians, *signs;  // S, G, B
  const int32_t* order;

  size_t blocks() const { return (static_cast<size_t>(units) + n - 1) / n; }
};

// x (rows, inputs) -> y (rows, units). The bits do not depend on `threads`. Throws std::bad_alloc, std::system_error.
void fastfood(const Kernels& kernels, const Fastfood& layer, const float* x, size_t rows, float* y, int threads);

// From d loss / d y: dx (rows, inputs), and the gradients of S, G and B of each block, sums (blocks, 3, n). What was
// computed on the way to y is computed again. As `fastfood` otherwise.
void fastfood_gradient(const Kernels& kernels, const Fastfood& layer, const float* x, const float* dy, size_t rows,
                       float* dx, float* sums, int threads);

}  // namespace sfumato
