// AVX-512 (x86-64-v4); see kernels_impl.h.
#define LANES 16
#define BLOCK_ROWS 8
#define BLOCK_VECTORS 3
#define HALF_IS_FAST 0
#define SFUMATO_NAME "avx512"
#define SFUMATO_TABLE kAvx512
#include "kernels_impl.h"
