// AMX tiles for products of bfloat16, AVX-512 for all else; see tiles_impl.h and kernels_impl.h.
#define LANES 16
#define BLOCK_ROWS 8
#define BLOCK_VECTORS 3
#define HALF_IS_FAST 1
#define TILES
#define SFUMATO_NAME "amx"
#define SFUMATO_TABLE kAmx
#include "kernels_impl.h"
