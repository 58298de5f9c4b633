// Portable C++: 128-bit vectors, which SSE2 and NEON both have; see kernels_impl.h.
#define LANES 4
#define BLOCK_ROWS 4
#define BLOCK_VECTORS 3
#define HALF_IS_FAST 0
#define SFUMATO_NAME "plain"
#define SFUMATO_TABLE kPlain
#include "kernels_impl.h"
