// Aligned, zeroed float arrays.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace sfumato {

struct FreeAligned {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float[], FreeAligned>;

// `count` zeros, aligned to a cache line; from 2 MB on to a huge page, which the kernel is asked for: a training
// step walks columns of matrices, a page a row otherwise. Throws std::bad_alloc.
inline Buffer allocate(size_t count) {
  constexpr size_t kHuge = size_t(1) << 21;
  const size_t bytes = count * sizeof(float), alignment = bytes >= kHuge ? kHuge : 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment + (bytes ? 0 : alignment);
  void* p = std::aligned_alloc(alignment, rounded);
  if (!p) throw std::bad_alloc();
#if defined(__linux__)
  if (alignment == kHuge) madvise(p, rounded, MADV_HUGEPAGE);  // a wish; being refused costs only speed
#endif
  std::memset(p, 0, rounded);
  return Buffer(static_cast<float*>(p));
}

}  // namespace sfumato
