// AVX2 and FMA (x86-64-v3); see kernels_impl.h.
#define LANES 8
#define BLOCK_ROWS 4
#define BLOCK_VECTORS 3
#define DENSE_ROWS 6
#define DENSE_VECTORS 2
#define HALF_IS_FAST 0
#define SFUMATO_NAME "avx2"
#define SFUMATO_TABLE kAvx2
#include "kernels_impl.h"
