// The Walsh-Hadamard transform of the rows of a matrix, by several threads.
#pragma once
#include <cstddef>

#include "kernels.h"

namespace sfumato {

// Row r of `into` = scale H (row r of `from`), with H(i, j) = -1 to the number of ones in i & j (Sylvester's matrix: the
// natural order). n is a power of two; `into` is `from` or does not overlap it. Needs no memory but theirs. At most
// `threads` threads share the rows, fewer where there is little to do; how many changes no bit. Denormals count as zero.
// Throws std::system_error if the system gives no more threads: then `into` holds nothing that is meant.
void hadamard(const Kernels& kernels, const float* from, float* into, size_t rows, size_t n, float scale, int threads);

}  // namespace sfumato
