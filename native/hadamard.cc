#include "hadamard.h"

#include <algorithm>

#include "pool.h"

namespace sfumato {
namespace {

// A thread is started for this many floats or more: a megabyte, at which it takes as long as the transform of a share.
constexpr size_t kShare = 1 << 18;

}  // namespace

void hadamard(const Kernels& kernels, const float* from, float* into, size_t rows, size_t n, float scale, int threads) {
  if (!rows) return;
  const size_t most = std::min(rows, rows * n / kShare);
  Pool pool(static_cast<int>(std::clamp<size_t>(most, 1, static_cast<size_t>(threads))));
  const size_t share = (rows + pool.size() - 1) / pool.size();
  pool.run([&](int t) {
    const size_t low = std::min(rows, share * t), high = std::min(rows, low + share);
    kernels.hadamard(from + low * n, into + low * n, high - low, n, scale);
  });
}

}  // namespace sfumato
