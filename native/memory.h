// Aligned float arrays.
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

constexpr size_t kHugePage = size_t(1) << 21;  // bytes

// Bytes that an array of `count` floats takes: whole cache lines; from 2 MB on whole huge pages.
inline size_t room(size_t count) {
  const size_t bytes = count * sizeof(float), alignment = bytes >= kHugePage ? kHugePage : 64;
  return (bytes + alignment - 1) / alignment * alignment + (bytes ? 0 : alignment);
}

// `count` floats that nobody has touched yet, aligned to a cache line; from 2 MB on to a huge page, which the kernel is
// asked for: a training step walks columns of matrices, a page a row otherwise. Throws std::bad_alloc.
inline Buffer allocate_untouched(size_t count) {
  const bool huge = count * sizeof(float) >= kHugePage;
  void* p = std::aligned_alloc(huge ? kHugePage : 64, room(count));
  if (!p) throw std::bad_alloc();
#if defined(__linux__)
  if (huge) madvise(p, room(count), MADV_HUGEPAGE);  // a wish; being refused costs only speed
#endif
  return Buffer(static_cast<float*>(p));
}

inline void set_zero(float* values, size_t count) { std::memset(values, 0, room(count)); }

// `count` zeros. Throws std::bad_alloc.
inline Buffer allocate(size_t count) {
  Buffer zeros = allocate_untouched(count);
  set_zero(zeros.get(), count);
  return zeros;
}

}  // namespace sfumato
